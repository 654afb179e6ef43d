"""What happens to sessions while the store takes nothing, worked out in memory and written when it is back.

Only facts are taken in: a call that ended, a worker that died, a session whose first call failed. What a caller asks
for is refused instead, so that nothing was promised that is not on record.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.clock import Clock, Instant
from gateway.errors import WorkerExit
from gateway.model import TRANSITIONS, EndReason, Session, SessionStatus
from gateway.sessions.live import LiveSession
from gateway.stores.base import SessionStore
from gateway.timing import CALL_LEASE, STORE_END_SLIDE

logger = logging.getLogger("gateway.sessions")


class Unwritten:
    """Records that are newer than what the store has."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._over: dict[str, Session] = {}
        self._changes = 0

    def settle(self, live: LiveSession, now: Instant, *, started: bool) -> Session:
        """End a call, as `SessionStore.finish` does.

        What is told of its window is only in memory. Should this gateway die, the next one has what the worker says of
        the call's end, which was a little earlier than `now`: no more is told than that.
        """
        record = live.latest()
        if live.left:  # another gateway decides, by what is on record, how long it lives
            return record
        now = Instant(now.monotonic - STORE_END_SLIDE, now.wall - STORE_END_SLIDE)
        active = record.status is SessionStatus.ACTIVE
        return self._take(
            live,
            replace(
                _active_until(record, now) if active else record,
                in_flight=max(record.in_flight - 1, 0),
                call_count=record.call_count - (active and not started),
            ),
        )

    def end(self, live: LiveSession, reason: EndReason, exit_: WorkerExit | None) -> Session:
        """End an active session, as `SessionStore.end` does."""
        return self._take(
            live,
            replace(
                live.latest(),
                status=TRANSITIONS[SessionStatus.ACTIVE, reason],
                end_reason=reason,
                worker_exit=exit_,
                ended_at=self._clock.now().wall,
                call_count=live.record.call_count - live.unstarted,
            ),
        )

    def correct(
        self, live: LiveSession, *, in_flight: int, call_count: int | None, active_at: Instant | None = None
    ) -> Session:
        """Set right what another gateway left, as `SessionStore.adopt` does."""
        record = _active_until(live.latest(), active_at) if active_at else live.latest()
        count = record.call_count if call_count is None else call_count
        return self._take(live, replace(record, in_flight=in_flight, call_count=count))

    async def write(self, store: SessionStore, sessions: Iterable[LiveSession], outage: float) -> list[LiveSession]:
        """Put the state of these sessions, and of those that are over, on record. Returns the sessions.

        For `outage` seconds nobody could renew a session: the windows are that much longer. Raises StoreFailure.
        """
        while True:
            changes, live_ones = self._changes, list(sessions)
            later = [_later(live, outage) for live in live_ones]
            over = list(self._over.values())
            await store.restore([*later, *over], self._clock.now().monotonic + CALL_LEASE)
            if changes == self._changes:
                break
        for live, record in zip(live_ones, later, strict=True):
            live.record = record
        self._over.clear()
        if later or over:
            logger.warning("%d live sessions and %d that are over were put on record", len(later), len(over))
        return live_ones

    def forget(self, which: Callable[[str], bool]) -> None:
        """Drop the records with these ids: the sessions are another gateway's."""
        self._over = {session_id: record for session_id, record in self._over.items() if not which(session_id)}
        self._changes += 1

    def _take(self, live: LiveSession, record: Session) -> Session:
        live.record = record
        if live.left:
            return record
        self._changes += 1
        if record.status is not SessionStatus.ACTIVE:
            self._over[record.id] = record
        return record


def _active_until(record: Session, now: Instant) -> Session:
    deadline = now.monotonic + record.timeout
    if deadline <= record.deadline:
        return record
    return replace(record, deadline=deadline, expires_at=now.wall + record.timeout)


def _later(live: LiveSession, seconds: float) -> Session:
    record = live.latest()
    return replace(
        record,
        deadline=record.deadline + seconds,
        expires_at=record.expires_at + seconds,
        in_flight=live.in_flight,
    )
