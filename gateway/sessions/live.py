"""What this gateway holds of an active session beside its record: the worker, the queue, the timer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.clock import Instant, Timer
from gateway.errors import CallInterrupted, GatewayDraining, GatewayError, RunState
from gateway.model import AppRef, AppVersion, Session, SessionStatus
from gateway.sessions.turns import Turns
from gateway.timing import RETRY_HINT
from gateway.workers.base import PendingCall, Worker

_NEVER = Instant(-1e9, -1e9)


@dataclass(eq=False, slots=True)
class LiveSession:
    """One leased worker. What never changes of its session is here, so that a call need not read the record first."""

    id: str
    owner: str
    app: AppVersion
    epoch: int
    worker: Worker
    turns: Turns
    record: Session
    """The record as this gateway last had it from the store, or has worked it out while the store failed."""
    calls: set[PendingCall] = field(default_factory=set)
    in_flight: int = 0
    """Calls that run or wait, as this gateway knows them."""
    expiry: Timer | None = None
    lifetime: Timer | None = None
    """Ends the session when it has lived for as long as its app allows."""
    over: bool = False
    """It has ended or expired; what its calls still do changes nothing on record."""
    left: bool = False
    """Another gateway has it: nothing that is known of it here goes on record any more."""
    renewed: Instant = _NEVER
    """When it was last kept alive together with others. `record` knows nothing of that."""

    @property
    def ref(self) -> AppRef:
        """The app version that the session is bound to."""
        return self.app.ref

    @property
    def unstarted(self) -> int:
        """How many of the calls in flight no worker has been given yet."""
        return self.in_flight - len(self.calls)

    def latest(self) -> Session:
        """Return the record with what it knows nothing of: a new one for each renewal would cost more than that."""
        deadline = self.renewed.monotonic + self.record.timeout
        if deadline <= self.record.deadline or self.record.status is not SessionStatus.ACTIVE:
            return self.record
        return replace(self.record, deadline=deadline, expires_at=self.renewed.wall + self.record.timeout)

    def remember(self, record: Session) -> None:
        """Take the record of an admission, which may be older than what has been taken since: its window, and its end,
        then stay. How many calls are in flight, only `in_flight` says for sure.
        """
        if self.over:
            return
        if record.deadline < self.record.deadline:
            record = replace(record, deadline=self.record.deadline, expires_at=self.record.expires_at)
        self.record = record

    def leave(self) -> None:
        """Leave the session to another gateway: calls that run go on there, those that wait were not started."""
        self._cancel_timers()
        self.turns.close(lambda: draining(self.id))
        for call in list(self.calls):
            call.leave(
                CallInterrupted(
                    f"the gateway was stopped while a call of session {self.id} ran; the worker goes on with it",
                    metadata={"sessionId": self.id},
                    session_id=self.id,
                    run_state=RunState.UNKNOWN,
                )
            )

    def close(self, error: Callable[[RunState], GatewayError]) -> None:
        """Answer all calls: those that wait were not started, those that run may have had effects."""
        self._cancel_timers()
        self.turns.close(lambda: error(RunState.NOT_STARTED))
        for call in list(self.calls):
            call.abandon(error(RunState.UNKNOWN))

    def _cancel_timers(self) -> None:
        for timer in (self.expiry, self.lifetime):
            if timer is not None:
                timer.cancel()


def elsewhere(session_id: str) -> GatewayDraining:
    """Return the error of whatever comes to a gateway that does not have the session, and cannot say who does."""
    return GatewayDraining(
        "the session is being taken over by another gateway", session_id=session_id, retry_after=RETRY_HINT
    )


def draining(session_id: str = "") -> GatewayDraining:
    """Return the error of whatever comes to a gateway that is shutting down, or waits there."""
    return GatewayDraining(
        "the gateway is shutting down and takes no new calls", session_id=session_id, retry_after=RETRY_HINT
    )
