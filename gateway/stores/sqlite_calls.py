"""What calls and renewals do to the record of a session: once for each call, and so as cheap as can be.

The process that admits the calls of a session knows its record, and need not read it: it works out what becomes of it
and writes that, on the condition that the record is as it was. Where another process has changed it, the statement
that reads what it writes runs instead.

The end of a call is not written at once. It goes on record with the next call of its session, or a moment later, and
until then the record has a call in flight too many and a window that ends too early, but by no more than
STORE_END_SLIDE: an end that moves the window further is written before it is told. As a session with a call in flight
is not due before that much later, no other process, and none that comes after a crash, ever expires one earlier than
its callers were told.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.clock import Instant
from gateway.model import TRANSITIONS, EndReason, Session, SessionStatus
from gateway.stores.moved import moved
from gateway.stores.sqlite_database import BEGIN
from gateway.timing import STORE_END_SLIDE

DUE = f"""status = 'active' AND deadline <= :now
    AND (in_flight = 0 OR max(hold_until, deadline + {STORE_END_SLIDE}) <= :now)"""
SLIDE = "deadline = :now + timeout, expires_at = :wall + timeout"

_AS_KNOWN = """id = ? AND status = 'active' AND worker_id = ? AND epoch = ? AND call_count = ? AND in_flight = ?
    AND deadline = ?"""
_ADMIT_KNOWN = f"""UPDATE sessions SET in_flight = ?, call_count = ?, last_call_at = ?, hold_until = ?, deadline = ?,
    expires_at = ? WHERE {_AS_KNOWN}"""
_MOVE_KNOWN = f"UPDATE sessions SET in_flight = ?, deadline = ?, expires_at = ? WHERE {_AS_KNOWN}"
# For a record that is not as it was known: what has happened, rather than what has come of it.
_HAPPENED = """UPDATE sessions SET in_flight = max(in_flight + :moved, 0), hold_until = max(hold_until, :hold),
    call_count = call_count + iif(status = 'active', :calls, 0),
    last_call_at = iif(status = 'active' AND :calls > 0, :last_call, last_call_at),
    expires_at = iif(status = 'active' AND :deadline > deadline, :expires, expires_at),
    deadline = iif(status = 'active', max(deadline, :deadline), deadline)
    WHERE id = :id RETURNING """

_ADMIT = f"""UPDATE sessions SET in_flight = in_flight + 1, call_count = call_count + 1, last_call_at = :wall,
    hold_until = :hold, {SLIDE} WHERE id = :id AND status = 'active' AND NOT ({DUE}) RETURNING """
_FINISH = """UPDATE sessions SET in_flight = max(in_flight - 1, 0),
    call_count = call_count - iif(status = 'active', :taken_back, 0),
    deadline = iif(status = 'active', max(deadline, :now + timeout), deadline),
    expires_at = iif(status = 'active' AND :now + timeout > deadline, :wall + timeout, expires_at)
    WHERE id = :id RETURNING """
_RENEW = f"UPDATE sessions SET {SLIDE} WHERE id = :id AND status = 'active' AND NOT ({DUE}) RETURNING "
EXPIRE = f"""UPDATE sessions SET status = :status, end_reason = :reason, ended_at = :wall
    WHERE id = :id AND {DUE} RETURNING """
_GET = "SELECT {} FROM sessions WHERE id = :id"

EXPIRED = {
    "status": TRANSITIONS[SessionStatus.ACTIVE, EndReason.IDLE_TIMEOUT].value,
    "reason": EndReason.IDLE_TIMEOUT.value,
}


class _Known(NamedTuple):
    """An active session as it is, and what the record has instead while something of it is unwritten."""

    session: Session
    in_flight: int
    deadline: float
    call_count: int
    hold_until: float = 0.0
    """Until when the calls are held that have been admitted since."""

    @property
    def condition(self) -> tuple[object, ...]:
        """The values of _AS_KNOWN."""
        session = self.session
        return session.id, session.worker_id, session.epoch, self.call_count, self.in_flight, self.deadline


class CallRecords:
    """Runs in the transactions of whoever calls, who commits. Each begins one where it needs it: most
    often it has a single statement, which is one by itself.

    A transaction that fails is followed by `undo`, any other by `keep`.
    """

    def __init__(self, columns: str, session_of: Callable[[Any], Session]) -> None:
        """`columns` are those of a session, separated by commas; `session_of` makes a Session of their values."""
        self._session_of = session_of
        self._admit, self._finish, self._happened = _ADMIT + columns, _FINISH + columns, _HAPPENED + columns
        self._renew, self._expire, self._get = _RENEW + columns, EXPIRE + columns, _GET.format(columns)
        self._known: dict[str, _Known] = {}
        self._before: list[tuple[str, _Known | None]] = []
        self.unwritten: set[str] = set()
        """The ids of sessions with calls, or ends of calls, that are not on record."""
        self.admitted: set[str] = set()
        """The ids of those among them that have calls which are not."""

    def admit(self, db: sqlite3.Connection, session_id: str, now: Instant, hold_until: float) -> Session | None:
        """See `SessionStore.admit`."""
        known = self._known.get(session_id)
        if known is not None and now.monotonic < known.session.deadline:
            was, (monotonic, wall) = known.session, now
            until = monotonic + was.timeout, wall + was.timeout
            session = moved(was, until, was.in_flight + 1, wall, was.call_count + 1)
            values = (session.in_flight, session.call_count, wall, hold_until, session.deadline, session.expires_at)
            if db.execute(_ADMIT_KNOWN, values + known.condition).rowcount:
                self._note(session)
                return session
        values_of = {"id": session_id, "now": now.monotonic, "wall": now.wall, "hold": hold_until}
        return self._unless_due(db, self._admit, values_of)

    def admit_later(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        """Admit a call, but put that on record later; None if it is to be done at once."""
        known = self._known.get(session_id)
        if known is None or now.monotonic >= known.session.deadline:
            return None
        was, (monotonic, wall) = known.session, now
        until = monotonic + was.timeout, wall + was.timeout
        session = moved(was, until, was.in_flight + 1, wall, was.call_count + 1)
        self._known[session_id] = _Known(session, known.in_flight, known.deadline, known.call_count, hold_until)
        self.unwritten.add(session_id)
        self.admitted.add(session_id)
        return session

    def renew(self, db: sqlite3.Connection, session_id: str, now: Instant) -> Session | None:
        """See `SessionStore.renew`."""
        known = self._known.get(session_id)
        if known is not None and now.monotonic < known.session.deadline:
            was, (monotonic, wall) = known.session, now
            until = monotonic + was.timeout, wall + was.timeout
            session = moved(was, until, was.in_flight, was.last_call_at, was.call_count)
            if self._written(db, known, session):
                return session
        return self._unless_due(db, self._renew, {"id": session_id, "now": now.monotonic, "wall": now.wall})

    def finish(self, db: sqlite3.Connection, session_id: str, now: Instant, started: bool) -> Session | None:
        """See `SessionStore.finish`."""
        _begin(db)
        self.write(db, session_id)
        return self._finished(db, session_id, now, started)

    def finish_later(self, session_id: str, now: Instant) -> Session | None:
        """End a call that was started, but put that on record later; None if it is to be done at once."""
        known = self._known.get(session_id)
        if known is None:
            return None
        was, deadline = known.session, now.monotonic + known.session.timeout
        if was.in_flight == 0 or deadline - known.deadline > STORE_END_SLIDE:
            return None
        later = deadline > was.deadline
        until = (deadline, now.wall + was.timeout) if later else (was.deadline, was.expires_at)
        session = moved(was, until, was.in_flight - 1, was.last_call_at, was.call_count)
        self._known[session_id] = _Known(session, known.in_flight, known.deadline, known.call_count, known.hold_until)
        self.unwritten.add(session_id)
        return session

    def write(self, db: sqlite3.Connection, session_id: str) -> None:
        """Put a session's calls, and their ends, on record."""
        if session_id not in self.unwritten:
            return
        known = self._known[session_id]
        if not self._written(db, known, known.session):
            self._write_anyway(db, session_id, known)

    def _write_anyway(self, db: sqlite3.Connection, session_id: str, known: _Known) -> None:
        """Put on record what has happened to a session whose record another process has changed."""
        self._change(session_id, None)
        session = known.session
        happened = {
            "id": session_id,
            "moved": session.in_flight - known.in_flight,
            "calls": session.call_count - known.call_count,
            "last_call": session.last_call_at,
            "hold": known.hold_until,
            "deadline": session.deadline,
            "expires": session.expires_at,
        }
        row = db.execute(self._happened, happened).fetchone()
        if row is not None:
            self._noted(self._session_of(row))

    def write_all(self, db: sqlite3.Connection) -> None:
        """Put everything on record."""
        if len(self.unwritten) > 1:
            _begin(db)
        for session_id in list(self.unwritten):
            self.write(db, session_id)

    def write_admitted(self, db: sqlite3.Connection) -> None:
        """Put the calls of all sessions on record, and what ends they have had."""
        if len(self.admitted) > 1:
            _begin(db)
        for session_id in list(self.admitted):
            known = self._known[session_id]
            if not self._written(db, known, known.session):
                self._write_anyway(db, session_id, known)

    def learn(self, session: Session) -> None:
        """Take a session as it is on record now."""
        self.forget(session.id)
        if session.status is SessionStatus.ACTIVE:
            self._known[session.id] = _as_recorded(session)

    def forget(self, session_id: str) -> None:
        """Drop what is known of a session, and what is unwritten of it."""
        self._known.pop(session_id, None)
        self.unwritten.discard(session_id)
        self.admitted.discard(session_id)

    def forget_all(self) -> None:
        """Drop everything."""
        self._known.clear()
        self.unwritten.clear()
        self.admitted.clear()

    def keep(self) -> None:
        """The transaction is on record."""
        self._before.clear()

    def undo(self) -> None:
        """The transaction has changed nothing."""
        while self._before:
            session_id, known = self._before.pop()
            self.forget(session_id)
            if known is not None:
                self._known[session_id] = known
                if known.call_count != known.session.call_count:
                    self.admitted.add(session_id)
                if known != _as_recorded(known.session):
                    self.unwritten.add(session_id)

    def _unless_due(self, db: sqlite3.Connection, statement: str, values: dict[str, Any]) -> Session | None:
        _begin(db)
        self.write(db, values["id"])
        for attempt in (statement, self._expire, self._get):
            row = db.execute(attempt, {**values, **EXPIRED}).fetchone()
            if row is not None:
                return self._noted(self._session_of(row))
        self._change(values["id"], None)
        return None

    def _finished(self, db: sqlite3.Connection, session_id: str, now: Instant, started: bool) -> Session | None:
        values = {"id": session_id, "now": now.monotonic, "wall": now.wall, "taken_back": 0 if started else 1}
        row = db.execute(self._finish, values).fetchone()
        if row is None:
            self._change(session_id, None)
            return None
        return self._noted(self._session_of(row))

    def _written(self, db: sqlite3.Connection, known: _Known, session: Session) -> bool:
        """Write a session with its calls in flight and its window, if the record is as it is known."""
        if known.call_count == session.call_count:
            statement = _MOVE_KNOWN
            values: tuple[object, ...] = (session.in_flight, session.deadline, session.expires_at)
        else:
            statement = _ADMIT_KNOWN
            calls = session.in_flight, session.call_count, session.last_call_at, known.hold_until
            values = (*calls, session.deadline, session.expires_at)
        if not db.execute(statement, values + known.condition).rowcount:
            return False
        self._note(session)
        return True

    def _noted(self, session: Session) -> Session:
        if session.status is SessionStatus.ACTIVE:
            self._note(session)
        else:
            self._change(session.id, None)
        return session

    def _note(self, session: Session) -> None:
        """Remember an active session that this transaction has put on record."""
        self._change(session.id, _Known(session, session.in_flight, session.deadline, session.call_count))

    def _change(self, session_id: str, known: _Known | None) -> None:
        self._before.append((session_id, self._known.get(session_id)))
        self.unwritten.discard(session_id)
        self.admitted.discard(session_id)
        if known is None:
            self._known.pop(session_id, None)
        else:
            self._known[session_id] = known


def _as_recorded(session: Session) -> _Known:
    return _Known(session, session.in_flight, session.deadline, session.call_count)


def _begin(db: sqlite3.Connection) -> None:
    if not db.in_transaction:
        db.execute(BEGIN)
