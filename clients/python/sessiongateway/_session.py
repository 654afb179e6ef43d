"""A session as a thing to hold: it opens with its first call and ends when its block is left."""

import asyncio
import copy
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, overload

from sessiongateway._exceptions import DeadlineExceededError, SessionGatewayError, SessionNotFoundError
from sessiongateway._keepalive import Renewer
from sessiongateway._pacing import Deadline
from sessiongateway._resources import AsyncSessions
from sessiongateway._runner import Runner
from sessiongateway._types import KeepaliveEvent, RunResult, SessionInfo

_log = logging.getLogger("sessiongateway")


class AsyncSession:
    """One session, made by `client.session(app)`.

    The first call opens it; calls that arrive meanwhile wait for that. If the first call fails there is no session,
    and the next call is the first again. From then on every call goes to the session's own app and version, also
    when a newer one has been deployed. A session that has finished is never replaced: its calls raise.
    """

    def __init__(
        self,
        app: str,
        *,
        runner: Runner,
        sessions: AsyncSessions,
        session_timeout: int | None,
        renewer: Renewer | None,
        timeout: float | None,
        on_lost: Callable[[SessionGatewayError], object] | None,
    ) -> None:
        """Made by the client; with a renewer the session is kept alive."""
        self._runner = runner
        self._sessions = sessions
        self._app = app
        self._session_timeout = session_timeout
        self._renewer = renewer
        self._timeout = timeout
        self._on_lost = on_lost
        self._opening = asyncio.Lock()
        self._id: str | None = None
        self._info: SessionInfo | None = None
        self._lost: SessionGatewayError | None = None
        self._closed = False
        self._ended = False

    @property
    def id(self) -> str | None:
        """The session's id; None before the first call has succeeded."""
        return self._id

    @property
    def info(self) -> SessionInfo | None:
        """The session as it was in the newest answer; None before the first."""
        return self._info

    @overload
    async def call(
        self, input: Mapping[str, Any] | Any = None, /, *, timeout: float | None = None, request_id: str | None = None
    ) -> RunResult: ...

    @overload
    async def call(
        self,
        function: str,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> RunResult: ...

    async def call(
        self,
        function_or_input: Any = None,
        input: Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> RunResult:
        """Call the app's default function with an input, or a named function with an input.

        Args:
            function_or_input: The function's name, or the input (a dict or a pydantic model) of the default one.
            input: The input, if a function is named.
            timeout: Seconds for this call, overriding the handle's.
            request_id: Idempotency key.

        Raises:
            TypeError: Two inputs, or an input that is not an object. Nothing was sent.
            ValueError: The input cannot be JSON. Nothing was sent.
            RuntimeError: The handle is closed.
            SessionGatewayError: The call failed; or, with keepalive, the session is known to be lost.
        """
        fields = {"input": input, "request_id": request_id}
        if isinstance(function_or_input, str):
            fields["function"] = function_or_input
        elif input is not None:
            raise TypeError("the function's name must be a str, and come before the input")
        else:
            fields["input"] = function_or_input
        deadline = self._runner.deadline(self._timeout if timeout is None else timeout)
        if self._id is None:
            async with _Turn(self._opening, deadline):
                if self._id is None:
                    return await self._open(fields, deadline)
        self._refuse_finished()
        pinned = self._app if self._info is None else f"{self._info.app}@{self._info.version}"
        result = await self._runner.run({**fields, "app": pinned, "session": self._id}, deadline)
        self._info = result.session or self._info
        return result

    async def end(self) -> SessionInfo | None:
        """End the session, if it was opened, and close the handle. May be called twice.

        Raises:
            SessionGatewayError: The session could not be ended; it will expire by itself.
        """
        self._closed = True
        if self._id is None or self._ended:
            return self._info
        if self._renewer is not None:
            self._renewer.discard(self._id)
        timeout = self._runner.pacing.end_timeout if self._timeout is None else self._timeout
        try:
            self._info = await self._sessions.end(self._id, timeout=timeout)
        except SessionNotFoundError:
            # Its record has been purged, so it was over long ago.
            _log.debug("the session %s was already gone", self._id)
        self._ended = True
        return self._info

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.end()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"Besides, the session {self._id} could not be ended: {failure}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(app={self._app!r}, id={self._id!r})"

    async def _open(self, fields: Mapping[str, Any], deadline: Deadline) -> RunResult:
        self._refuse_finished()
        opening = {"app": self._app, "session": "new", "session_timeout": self._session_timeout}
        result = await self._runner.run({**fields, **opening}, deadline)
        self._id, self._info = result.session_id, result.session
        if self._closed:
            # The block was left while this call ran, and could not end what it did not know.
            await self.end()
        elif self._renewer is not None:
            timeout = None if self._info is None else self._info.session_timeout
            self._renewer.add(self._id, self._hear, timeout)
        return result

    def _refuse_finished(self) -> None:
        if self._closed:
            raise RuntimeError("the session handle is closed")
        if self._lost is not None:
            error = copy.copy(self._lost)
            error.run_state = "not_started"
            raise error

    def _hear(self, event: KeepaliveEvent) -> None:
        if event.error is None:
            self._info = event.session
            return
        self._lost = event.error
        if self._on_lost is not None:
            try:
                self._on_lost(event.error)
            except Exception:  # noqa: BLE001 - the other sessions' renewals must go on
                _log.exception("on_lost of session %s failed", self._id)


class _Turn:
    """Holds a lock that is waited for no longer than a deadline allows."""

    def __init__(self, lock: asyncio.Lock, deadline: Deadline) -> None:
        self._lock = lock
        self._deadline = deadline

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._deadline.remaining()):
                await self._lock.acquire()
        except TimeoutError:
            message = "the session was not open in the time given"
            raise DeadlineExceededError(message, run_state="not_started") from None

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
