"""What is deployed, as callers ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.apps.names import AppQuery
from gateway.apps.registry import AppRegistry
from gateway.clock import Clock
from gateway.model import AppVersion, FunctionDescription
from gateway.sessions.calls import DEFAULT_FUNCTION
from gateway.sessions.pages import Tokens, query
from gateway.sessions.requests import Caller
from gateway.workers.base import WorkerPool


@dataclass(frozen=True, slots=True)
class AppSummary:
    """One version of an app, with the names of all its versions, the current one first."""

    app: AppVersion
    versions: Sequence[str]
    functions: Sequence[FunctionDescription] = ()
    idle_workers: Sequence[str] = ()

    @property
    def default_function(self) -> str:
        """The function of a call that names none; "" when it is known that there is no such function."""
        name = self.app.default_function or DEFAULT_FUNCTION
        known = {function.name for function in self.functions}
        return name if name in known or not known else ""


class AppCatalog:
    """Lists and describes apps."""

    def __init__(
        self,
        registry: AppRegistry,
        pool: WorkerPool,
        clock: Clock,
        import_timeout: float,
        tokens: Tokens | None = None,
    ) -> None:
        """`import_timeout` is for how many seconds a caller waits at most for an app's import. Without `tokens` those
        of pages are good for as long as this object lives.
        """
        self._registry = registry
        self._pool = pool
        self._clock = clock
        self._import_timeout = import_timeout
        self._tokens = tokens or Tokens()

    def list(self, page_size: int, token: str, caller: Caller) -> tuple[Sequence[AppSummary], str]:
        """Return a page of apps by name, in their current versions, and the next page's token ("" when there is none).

        Raises InvalidRequest (the token).
        """
        walk = query("ListApps", caller.principal)
        after = self._tokens.cursor(token, walk)
        apps = [app for app in self._registry.current_versions() if app.ref.name > after]
        page = apps[:page_size]
        more = len(apps) > page_size
        next_token = self._tokens.token(walk, page[-1].ref.name) if more else ""
        return [AppSummary(app, self._registry.versions(app.ref.name)) for app in page], next_token

    async def get(self, query: AppQuery, caller: Caller) -> AppSummary:
        """Describe one version, importing its code if need be.

        Raises AppNotFound, VersionNotFound, AppStartFailed, NoWorkerAvailable (the import takes too long).
        """
        app = self._registry.resolve(query)
        patience = caller.patience(self._clock.now(), self._import_timeout)
        functions = await self._pool.describe(app, timeout=patience)
        return AppSummary(app, self._registry.versions(app.ref.name), functions, self._pool.idle_workers(app))
