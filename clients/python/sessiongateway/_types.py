"""What the client returns: dictionaries whose keys are attributes too."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from sessiongateway._exceptions import SessionGatewayError


class Record(dict[str, Any]):
    """A dictionary whose keys can be read as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"attributes of {type(self).__name__} cannot be set")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"


class SessionInfo(Record):
    """A session as it was when the gateway answered. All times are aware, in UTC, by the gateway's clock."""

    id: str
    app: str
    version: str
    status: str
    """"active", "ended" or "expired"."""
    end_reason: str | None
    """Why it is no longer active: "caller", "idle_timeout", "worker_lost", ...; None while it is."""
    worker_id: str
    session_timeout: int
    """The idle timeout in seconds."""
    created_at: datetime | None
    expires_at: datetime | None
    expires_in: timedelta
    """The time that was left; needs no comparison of clocks."""
    last_call_at: datetime | None
    ended_at: datetime | None
    call_count: int
    worker_exit: dict[str, int] | None
    """How the worker died: {"exit_code": n}, {"signal": n} or {} if unknown; None if it did not."""


class RunResult(Record):
    """The answer of one run."""

    session_id: str
    """Empty for a run without a session."""
    output: Any
    """What the function returned, decoded from JSON. Integers are exact."""
    call_id: str
    session: SessionInfo | None
    """The session after the call; None for a run without one."""


class FunctionInfo(Record):
    """A function of an app."""

    name: str
    description: str
    input_schema: dict[str, Any]
    """JSON Schema (2020-12)."""
    output_schema: dict[str, Any]
    """JSON Schema (2020-12)."""
    streams: bool
    """Whether it sends partial outputs before its result."""
    partial_schema: dict[str, Any]
    """JSON Schema (2020-12) of a partial output; empty unless it streams."""


class AppInfo(Record):
    """An app in one version."""

    name: str
    version: str
    current_version: str
    """The version that the name alone means."""
    versions: list[str]
    """All that are deployed, the newest first."""
    default_function: str
    functions: list[FunctionInfo]
    """Filled in by `apps.get` only."""
    concurrency: int
    """How many calls of one session run at a time."""
    idle_worker_ids: list[str]
    """Workers that a run with `worker_id` may name. Filled in by `apps.get` only."""


@dataclass(frozen=True)
class WatchEvent:
    """One thing that happened to a session."""

    event: str
    """"created", "ended", "expired" or "worker_lost"; or "watching", if that is asked for."""
    session: SessionInfo | None
    """The session as it was right after it; None for "watching"."""
    occurred_at: datetime
    """Aware, in UTC, by the gateway's clock."""
    resume_token: str
    """Continues a watch behind this event."""


@dataclass(frozen=True)
class KeepaliveEvent:
    """News of one session: it was renewed (`session` is set), or it is lost (`error` is set)."""

    session_id: str
    session: SessionInfo | None
    error: SessionGatewayError | None
