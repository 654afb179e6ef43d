"""The embedded default: one SQLite file in the data directory.

Statements run on the event loop's thread: an admitted call costs about 10 µs there, less than handing it to another
thread would. WAL with synchronous=NORMAL keeps every committed session through a crash of the gateway. A crash of the
whole machine may lose the last moments, but no worker outlives that either.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from gateway.clock import Instant
from gateway.errors import WorkerExit
from gateway.model import TRANSITIONS, EndReason, Session, SessionStatus
from gateway.stores.base import (
    EventPage,
    InvalidCursor,
    Page,
    SessionFilter,
    SessionStore,
    StoreFailure,
    StoreProblem,
    StoreUnusable,
)
from gateway.stores.sqlite_calls import DUE, EXPIRE, EXPIRED, SLIDE, CallRecords
from gateway.stores.sqlite_database import Database, connection
from gateway.stores.sqlite_events import EventLog
from gateway.stores.sqlite_rows import COLUMNS, session_of, values_of
from gateway.stores.sqlite_turns import SharedTransactions
from gateway.timing import STORE_BUSY_LAST, STORE_END_DELAY

logger = logging.getLogger("gateway.stores")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of creation, never given twice: pages are stable by it
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    deadline REAL NOT NULL,
    status TEXT NOT NULL,
    end_reason TEXT,
    exit_code INTEGER,
    exit_signal INTEGER,
    last_call_at REAL,
    ended_at REAL,
    call_count INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    hold_until REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_owner ON sessions (owner, seq);
CREATE INDEX IF NOT EXISTS sessions_by_owner_status ON sessions (owner, status, seq);
CREATE INDEX IF NOT EXISTS sessions_by_owner_app ON sessions (owner, app, seq);
-- Partial, so that the updates of every call touch as few indexes as can be.
CREATE INDEX IF NOT EXISTS sessions_active ON sessions (seq) WHERE status = 'active';
CREATE INDEX IF NOT EXISTS sessions_finished ON sessions (ended_at) WHERE status <> 'active';
"""

_MAX_CURSOR = 18
"""Digits that are sure to fit a 64-bit integer."""

_COUNT_ACTIVE = "SELECT count(*) FROM (SELECT 1 FROM sessions WHERE owner = ? AND status = 'active' LIMIT ?)"
_INSERT = f"INSERT INTO sessions ({COLUMNS}, hold_until) VALUES ({', '.join('?' * 19)})"
_INSERT_WITHIN = f"""INSERT INTO sessions ({COLUMNS}, hold_until) SELECT {", ".join("?" * 19)}
    WHERE ({_COUNT_ACTIVE}) < ? RETURNING 1"""
_GET = f"SELECT {COLUMNS} FROM sessions WHERE id = ?"
_GET_OWN = f"{_GET} AND owner = ?"
_ADOPT = f"""UPDATE sessions SET in_flight = :in_flight, hold_until = :hold, call_count = ifnull(:calls, call_count),
    deadline = max(deadline, :now + timeout), expires_at = max(expires_at, :wall + timeout)
    WHERE id = :id AND status = 'active' RETURNING {COLUMNS}"""
_HOLD = "UPDATE sessions SET hold_until = max(hold_until, ?) WHERE id = ? AND in_flight > 0"
_END = f"""UPDATE sessions SET status = :status, end_reason = :reason, ended_at = :wall, exit_code = :code,
    exit_signal = :signal, call_count = call_count - max(in_flight - ifnull(:running, in_flight), 0)
    WHERE id = :id AND status = 'active' RETURNING {COLUMNS}"""
_EXPIRE = EXPIRE + COLUMNS
# The plus signs keep the planner to the index of the ids.
_AMONG = "id IN (SELECT value FROM json_each(:ids))"
_EXPIRE_MANY = f"""UPDATE sessions SET status = :status, end_reason = :reason, ended_at = :wall
    WHERE {_AMONG} AND {DUE.replace("status", "+status", 1)} RETURNING {COLUMNS}"""
_GET_MANY = f"SELECT {COLUMNS} FROM sessions WHERE {_AMONG}"
_RENEW_MANY = f"""UPDATE sessions SET {SLIDE}
    WHERE {_AMONG} AND +owner = :owner AND +status = 'active' AND NOT ({DUE})"""
_RENEWED = f"""SELECT id FROM sessions
    WHERE {_AMONG} AND +owner = :owner AND +status = 'active' AND deadline >= :now + timeout"""
_RESTORE = f"""{_INSERT} ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(", "))}, hold_until = excluded.hold_until"""
_LIST_DUE = f"SELECT id FROM sessions WHERE {DUE} ORDER BY deadline LIMIT :limit"
_PURGE = "DELETE FROM sessions WHERE status <> 'active' AND ended_at < ?"


class SqliteStore(SessionStore):
    """Sessions in one SQLite file, which is created with its directory when it is not there."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """`shared`: other processes of this gateway have the file open as well."""
        self._db = Database(path, _connect, _create, _EVENTS.begin_anew, shared=shared)
        self._calls = CallRecords(COLUMNS, session_of)
        self._turns = SharedTransactions(self._commit)
        self._ends: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self._later = self._alone = not shared
        """Whether calls may be put on record at the end of the loop's turn: nobody else changes their sessions, and
        those of the turn before are there."""

    async def open(self) -> None:
        """See `SessionStore.open`. A file that is damaged is set aside, and what can be read of it is taken over."""
        self._db.open()

    async def close(self) -> None:
        self._cancel_ends()
        try:
            self._write_all()
        except StoreFailure as failure:
            logger.warning("the ends of %d calls are not on record: %s", len(self._calls.unwritten), failure)
            self._calls.forget_all()
        await self._db.quiet()
        self._db.close()

    async def create(self, session: Session, hold_until: float = 0.0, at_most: int | None = None) -> bool:
        values = (*values_of(session), hold_until)
        try:
            if at_most is None:
                self._db.all(_INSERT, values)
            elif not self._db.all(_INSERT_WITHIN, (*values, session.owner, at_most, at_most)):
                return False
        except sqlite3.IntegrityError as error:
            raise ValueError(f"session {session.id} exists") from error
        self._calls.learn(session)
        return True

    async def get(self, session_id: str, owner: str | None = None) -> Session | None:
        if owner is None:
            self._write(session_id)
            return self._one(_GET, (session_id,))
        # Whose it is comes first: the time of writing down the ends of calls would tell others that there are some.
        found = self._one(_GET_OWN, (session_id, owner))
        return await self.get(session_id) if found is not None and session_id in self._calls.unwritten else found

    async def admit(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        if self._later and self._turns.waiting is None:
            session = self._calls.admit_later(session_id, now, hold_until)
            if session is not None:
                if self._turn is None:
                    self._turn = asyncio.get_running_loop().call_soon(self._write_admitted)
                return session
        return await self._turns.run(self._calls.admit, session_id, now, hold_until)

    async def finish(self, session_id: str, now: Instant, *, started: bool) -> Session | None:
        if started:
            session = self._calls.finish_later(session_id, now)
            if session is not None:
                self._write_ends_in(STORE_END_DELAY)
                return session
        return self._commit(self._calls.finish, session_id, now, started)

    async def adopt(
        self,
        session_id: str,
        *,
        in_flight: int,
        call_count: int | None,
        hold_until: float,
        active_at: Instant | None = None,
    ) -> Session | None:
        # Long ago, when nothing is known: the later of the two is then what is on record.
        at = active_at or Instant(-1e9, -1e9)
        known = {"in_flight": in_flight, "calls": call_count, "hold": hold_until}
        values = {**_times(session_id, at), **known}
        self._write(session_id)
        return self._changed(session_id, self._one(_ADOPT, values) or self._one(_GET, (session_id,)))

    async def hold(self, session_ids: Iterable[str], hold_until: float) -> None:
        self._write_all()
        self._db.many(_HOLD, [(hold_until, session_id) for session_id in session_ids])

    async def renew(self, session_id: str, now: Instant) -> Session | None:
        return self._commit(self._calls.renew, session_id, now)

    async def end(
        self,
        session_id: str,
        reason: EndReason,
        now: Instant,
        worker_exit: WorkerExit | None = None,
        *,
        running: int | None = None,
    ) -> Session | None:
        values = {
            **_times(session_id, now),
            "status": TRANSITIONS[SessionStatus.ACTIVE, reason].value,
            "reason": reason.value,
            "code": worker_exit.exit_code if worker_exit else None,
            "signal": worker_exit.signal if worker_exit else None,
            "running": running,
        }
        self._write(session_id)
        return self._changed(session_id, self._one(_END, values) or self._one(_GET, (session_id,)))

    async def expire_if_due(self, session_id: str, now: Instant) -> Session | None:
        self._write(session_id)
        expired = self._one(_EXPIRE, {**_times(session_id, now), **EXPIRED})
        return self._changed(session_id, expired or self._one(_GET, (session_id,)))

    async def expire_due(self, session_ids: Sequence[str], now: Instant) -> Sequence[Session]:
        self._write_all()
        values = {"ids": json.dumps(session_ids), "now": now.monotonic, "wall": now.wall, **EXPIRED}
        rows = self._db.all(_EXPIRE_MANY, values)
        if len(rows) < len(session_ids):
            expired = {row[0] for row in rows}
            rows += self._db.all(_GET_MANY, {"ids": json.dumps([id for id in session_ids if id not in expired])})
        sessions = [session_of(row) for row in rows]
        for session in sessions:
            self._changed(session.id, session)
        return sessions

    async def renew_many(self, session_ids: Collection[str], owner: str, now: Instant) -> Collection[str]:
        self._write_all()
        wanted = list(dict.fromkeys(session_ids))
        values = {"ids": json.dumps(wanted), "owner": owner, "now": now.monotonic, "wall": now.wall}
        if self._db.changed(_RENEW_MANY, values) == len(wanted):
            return wanted
        return [row[0] for row in self._db.all(_RENEWED, values)]

    async def due(self, now: Instant, limit: int) -> Sequence[str]:
        self._write_all()
        return [row[0] for row in self._db.all(_LIST_DUE, {"now": now.monotonic, "limit": limit})]

    async def page(self, filter: SessionFilter, limit: int, cursor: str = "") -> Page:
        self._write_all()
        wanted = {"owner": filter.owner, "app": filter.app, "version": filter.version}
        wanted["status"] = filter.status.value if filter.status else None
        clauses = [f"{column} = :{column}" for column, value in wanted.items() if value is not None]
        if cursor:
            clauses.append("seq < :before")
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        # One more than asked for tells whether there is a next page.
        rows = self._db.all(
            f"SELECT {COLUMNS}, seq FROM sessions {where} ORDER BY seq DESC LIMIT :limit",
            {**wanted, "before": _position(cursor), "limit": limit + 1},
        )
        more = len(rows) > limit
        return Page([session_of(row) for row in rows[:limit]], str(rows[limit - 1][-1]) if more else "")

    async def count_active(self, owner: str, at_most: int) -> int:
        ((count,),) = self._db.all(_COUNT_ACTIVE, (owner, at_most))
        return int(count)

    async def purge(self, ended_before: float) -> int:
        return self._db.many(_PURGE, [(ended_before,)])

    async def restore(self, sessions: Sequence[Session], hold_until: float) -> None:
        self._db.many(_RESTORE, [(*values_of(session), hold_until) for session in sessions])
        for session in sessions:
            self._calls.learn(session)

    async def inspect(self) -> None:
        self._db.inspect()

    async def recover(self, failure: StoreFailure) -> None:
        self._cancel_ends()  # nobody else uses the connection meanwhile
        await self._db.recover(failure)
        self._later = self._alone
        if self._calls.unwritten:
            self._write_ends_in(STORE_END_DELAY)

    async def position(self) -> str:
        return self._db.using(_EVENTS.position)

    async def events(self, filter: SessionFilter, after: str, limit: int) -> EventPage:
        return self._db.using(lambda db: _EVENTS.page(db, filter, after, limit))

    async def forget_events(self, happened_before: float) -> int:
        return self._db.using(lambda db: _EVENTS.forget(db, happened_before))

    def _commit(self, work: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        try:
            answer = self._db.committed(work, *args)
        except BaseException:
            self._calls.undo()
            raise
        self._calls.keep()
        return answer

    def _write(self, session_id: str) -> None:
        """Put the ends of a session's calls on record, before it is read."""
        if session_id in self._calls.unwritten:
            self._commit(self._calls.write, session_id)

    def _write_all(self) -> None:
        if self._calls.unwritten:
            self._commit(self._calls.write_all)
        self._later = self._alone

    def _changed(self, session_id: str, session: Session | None) -> Session | None:
        if session is None:
            self._calls.forget(session_id)
        else:
            self._calls.learn(session)
        return session

    def _write_admitted(self) -> None:
        self._turn = None
        try:
            self._commit(self._calls.write_admitted)
        except StoreFailure as failure:
            # Whoever comes next meets it, before anything else is done.
            self._later = False
            if failure.problem is StoreProblem.BUSY:
                self._write_ends_in(STORE_BUSY_LAST)

    def _write_ends_in(self, delay: float) -> None:
        if self._ends is None:
            self._ends = asyncio.get_running_loop().call_later(delay, self._write_ends)

    def _write_ends(self) -> None:
        self._ends = None
        try:
            self._write_all()
        except StoreFailure as failure:
            # Any other failure is met, and told, by the next operation; a lock may be gone before there is one.
            if failure.problem is StoreProblem.BUSY:
                self._write_ends_in(STORE_BUSY_LAST)

    def _cancel_ends(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _one(self, statement: str, values: Sequence[object] | dict[str, object]) -> Session | None:
        rows = self._db.all(statement, values)
        return session_of(rows[0]) if rows else None


def _connect(path: Path) -> sqlite3.Connection:
    db = connection(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            raise StoreUnusable(
                f"the store {path} was written by a newer release (schema {found}, this one knows {SCHEMA_VERSION})"
            )
        _make_schema(db)
    except BaseException:
        db.close()
        raise
    return db


def _create(path: Path) -> sqlite3.Connection:
    """Make a file that is to take the place of another: without a log beside it, which would not come along."""
    db = connection(path)
    _make_schema(db)
    return db


def _make_schema(db: sqlite3.Connection) -> None:
    # Each statement creates only what is not there yet: an older file gets what it lacks.
    db.executescript(_SCHEMA + _EVENTS.schema)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _times(session_id: str, now: Instant) -> dict[str, object]:
    return {"id": session_id, "now": now.monotonic, "wall": now.wall}


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= _MAX_CURSOR):
        raise InvalidCursor(cursor)
    return int(cursor)


_EVENTS = EventLog(COLUMNS, session_of)
