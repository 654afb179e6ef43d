"""What is asked of the manager and what it answers, free of any transport."""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.apps.names import AppQuery
from gateway.clock import Instant
from gateway.model import Session
from gateway.timing import DEADLINE_MARGIN
from gateway.trace import TraceContext
from gateway.workers.partials import Partials

NEW = "new"
"""The value of `RunRequest.session` that asks for a new one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and until when the answer is of use."""

    principal: str
    deadline: float | None = None
    """On the monotonic clock; None when the caller waits for ever."""
    admin: bool = False
    """It sees and ends the sessions of everybody."""
    trace: TraceContext | None = None
    """What it sent of a trace that the request is part of."""

    @property
    def sees(self) -> str | None:
        """The owner whose sessions it sees and ends, None for all."""
        return None if self.admin else self.principal

    def patience(self, now: Instant, limit: float) -> float:
        """Return for how many seconds this caller may be kept waiting, at most `limit`.

        Less than its deadline, so that it hears from us that nothing was applied rather than from its own clock that
        nobody knows.
        """
        if self.deadline is None:
            return limit
        return max(0.0, min(limit, self.deadline - now.monotonic - DEADLINE_MARGIN))


class RunRequest(NamedTuple):
    """One call. The fields have been checked one by one; what they mean together is the manager's."""

    app: AppQuery
    function: str = ""
    payload: bytes = b""
    as_struct: bool = False
    """The payload is a serialized Struct rather than JSON text, and so will the output be."""
    session: str = ""
    session_timeout: int | None = None
    worker_id: str = ""
    request_id: str = ""
    expected_call_count: int | None = None


class RunAnswer(NamedTuple):
    """How a call ended well. `session` is None for a plain call."""

    call_id: str
    output: bytes
    session: Session | None = None


@dataclass(slots=True)
class CallProgress:
    """How far one call has come; for those who must know when it breaks off."""

    call_id: str
    deadline: float | None = None
    """When the caller stops waiting, on the monotonic clock; None for never."""
    fingerprint: bytes = b""
    """A digest of all that was asked for; with a request_id, what a repeat must have in common with the first."""
    partials: Partials | None = None
    """Where its partial outputs go; None when nobody asked for them."""
    trace: TraceContext | None = None
    """The trace that it is part of."""
    started: bool = field(default=False)
    """A worker has been given the call."""
