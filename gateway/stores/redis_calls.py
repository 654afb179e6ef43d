"""What the Redis store keeps of the sessions whose calls it admits, so that an end of a call need not be written at
once.

The rule is that of `gateway.stores.sqlite_calls`: the end goes on record with the next operation on its session, or a
moment later, and moves the window by no more than STORE_END_SLIDE until then. Whatever else happens to a session is
decided by the script, from the record alone: what is kept here is only what its answers said.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from gateway.clock import Instant
from gateway.model import Session, SessionStatus
from gateway.stores.moved import moved
from gateway.timing import STORE_END_SLIDE


class Ends(NamedTuple):
    """Ends of calls that are not on record: how many, and when the last one was."""

    calls: int
    at: Instant


class KnownSessions:
    """The active sessions as they are on record, and the ends of calls that are not."""

    def __init__(self) -> None:
        self._known: dict[str, Session] = {}
        self._busy: dict[str, int] = {}
        self._all_busy = 0
        self.unwritten: dict[str, Ends] = {}
        """By the id of their session."""

    def epoch(self, session_id: str) -> int:
        """Return the epoch of a session that is known, else -1: a script then returns all there is of it."""
        known = self._known.get(session_id)
        return -1 if known is None else known.epoch

    def get(self, session_id: str) -> Session | None:
        """Return a session as it is on record, if it is known."""
        return self._known.get(session_id)

    def begin(self, session_ids: Collection[str] | None) -> None:
        """These sessions, or all, are being changed: what is known of them is about to be old."""
        if session_ids is None:
            self._all_busy += 1
            return
        for session_id in session_ids:
            self._busy[session_id] = self._busy.get(session_id, 0) + 1

    def done(self, session_ids: Collection[str] | None) -> None:
        """The change is on record, or did not happen."""
        if session_ids is None:
            self._all_busy -= 1
            return
        for session_id in session_ids:
            left = self._busy[session_id] - 1
            if left:
                self._busy[session_id] = left
            else:
                del self._busy[session_id]

    def finish_later(self, session_id: str, now: Instant) -> Session | None:
        """End a call that was started, but put that on record later; None if it is to be done at once."""
        known = self._known.get(session_id)
        if known is None or self._all_busy or session_id in self._busy:
            return None
        deadline = now.monotonic + known.timeout
        ends = self.unwritten.get(session_id)
        count = 1 if ends is None else ends.calls + 1
        if known.in_flight < count or deadline - known.deadline > STORE_END_SLIDE:
            return None
        at = now if ends is None or now.monotonic > ends.at.monotonic else ends.at
        self.unwritten[session_id] = Ends(count, at)
        until = at.monotonic + known.timeout, at.wall + known.timeout
        if until[0] <= known.deadline:
            until = known.deadline, known.expires_at
        return moved(known, until, known.in_flight - count, known.last_call_at, known.call_count)

    def take(self, session_ids: Iterable[str]) -> dict[str, Ends]:
        """Return the unwritten ends of these sessions, which are about to be written."""
        taken = {each: self.unwritten.pop(each) for each in session_ids if each in self.unwritten}
        self.begin(taken)
        return taken

    def put_back(self, taken: dict[str, Ends]) -> None:
        """They have not been written."""
        self.done(taken)
        for session_id, ends in taken.items():
            later = self.unwritten.get(session_id)
            self.unwritten[session_id] = ends if later is None else Ends(ends.calls + later.calls, later.at)

    def written(self, taken: dict[str, Ends]) -> None:
        """They are on record, without an answer that says what the sessions are now."""
        self.done(taken)
        for session_id in taken:
            self._known.pop(session_id, None)

    def learn(self, session: Session) -> None:
        """Take a session as it is on record."""
        if session.status is SessionStatus.ACTIVE:
            self._known[session.id] = session
        else:
            self._known.pop(session.id, None)

    def renewed(self, session_ids: Iterable[str], now: Instant) -> None:
        """The windows of these sessions are on record as they slide now."""
        for session_id in session_ids:
            known = self._known.get(session_id)
            if known is not None:
                until = now.monotonic + known.timeout, now.wall + known.timeout
                self._known[session_id] = moved(known, until, known.in_flight, known.last_call_at, known.call_count)

    def restored(self, session: Session) -> None:
        """Take a session that was put on record as it is given: what was unwritten of it is in it."""
        self.unwritten.pop(session.id, None)
        self.learn(session)

    def forget(self, session_id: str) -> None:
        """Drop what is known of a session that is not on record, and what is unwritten of it."""
        self._known.pop(session_id, None)
        self.unwritten.pop(session_id, None)

    def forget_known(self) -> None:
        """Drop all that is known; what is unwritten is still to be written."""
        self._known.clear()

    def forget_all(self) -> None:
        """Drop also what is unwritten: the sessions are no longer this gateway's."""
        self._known.clear()
        self.unwritten.clear()
