"""What this gateway holds of an active session beside its record: the worker, the queue, the timer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import Timer
from gateway.errors import GatewayError, RunState
from gateway.model import AppRef, AppVersion, Session
from gateway.sessions.turns import Turns
from gateway.workers.base import PendingCall, Worker


@dataclass(eq=False, slots=True)
class LiveSession:
    """One leased worker. What never changes of its session is here, so that a call need not read the record first."""

    id: str
    owner: str
    app: AppVersion
    epoch: int
    worker: Worker
    turns: Turns
    calls: set[PendingCall] = field(default_factory=set)
    in_flight: int = 0
    """Calls that run or wait, as this gateway knows them."""
    expiry: Timer | None = None

    @property
    def ref(self) -> AppRef:
        """The app version that the session is bound to."""
        return self.app.ref

    def close(self, error: Callable[[RunState], GatewayError]) -> None:
        """Answer all calls: those that wait were not started, those that run may have had effects."""
        if self.expiry is not None:
            self.expiry.cancel()
        self.turns.close(lambda: error(RunState.NOT_STARTED))
        for call in list(self.calls):
            call.abandon(error(RunState.UNKNOWN))


def belongs_to(session: Session | None, principal: str) -> bool:
    """Whether there is such a session and it is this caller's: only the owner sees a session (contract, rule 8)."""
    return session is not None and session.owner == principal
