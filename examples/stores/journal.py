"""A session store of one's own: all records in memory, and a journal of every change in one file.

It is for one gateway, and for as many sessions as fit into its memory. docs/extending.md goes through it.
"""

import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from gateway.clock import Clock, Instant
from gateway.errors import WorkerExit
from gateway.model import TRANSITIONS, EndReason, Session, SessionStatus
from gateway.stores.base import (
    EventPage,
    EventsForgotten,
    InvalidCursor,
    Page,
    SessionFilter,
    SessionStore,
    StoredEvent,
    StoreFailure,
    StoreProblem,
    StoreUnusable,
)

_DIGITS = 15


@dataclass
class Records:
    """Everything that is on record. `places` are the numbers of creation, `holds` until when calls hold a session."""

    sessions: dict[str, Session] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    holds: dict[str, float] = field(default_factory=dict)
    events: dict[int, Session] = field(default_factory=dict)
    created: int = 0
    happened: int = 0
    forgotten: int = 0
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def apply(self, change: dict[str, Any]) -> None:
        """Make a change of the journal: the one place where anything changes."""
        for row in change.get("put", ()):
            session = _SESSION.validate_python(row["session"])
            self.sessions[session.id], self.holds[session.id] = session, row["hold"]
            if session.id not in self.places:
                self.created += 1
                self.places[session.id] = self.created
            if row["event"]:
                self.happened += 1
                self.events[self.happened] = session
        for session_id in change.get("purge", ()):
            del self.sessions[session_id], self.places[session_id], self.holds[session_id]
        for number in range(self.forgotten + 1, change.get("forget", 0) + 1):
            self.events.pop(number, None)
            self.forgotten = number
        self.mark = change.get("mark", self.mark)


_SESSION = TypeAdapter(Session)
_RECORDS = TypeAdapter(Records)


class JournalStore(SessionStore):
    """Sessions in a file. No operation awaits anything, so each is one step for all others of the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = Records()
        self._file: int | None = None

    async def open(self) -> None:
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise StoreUnusable(f"cannot use {self._path}: {error}") from error

    async def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def create(self, session: Session, hold_until: float = 0.0, at_most: int | None = None) -> bool:
        if session.id in self._records.sessions:
            raise ValueError(f"session {session.id} exists")
        if at_most is not None and await self.count_active(session.owner, at_most) >= at_most:
            return False
        self._write([(session, hold_until, True)])
        return True

    async def get(self, session_id: str, owner: str | None = None) -> Session | None:
        session = self._records.sessions.get(session_id)
        return session if session is not None and owner in (None, session.owner) else None

    async def admit(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        def admitted(was: Session) -> Session:
            counted = replace(was, call_count=was.call_count + 1, in_flight=was.in_flight + 1)
            return replace(_slid(counted, now), last_call_at=now.wall)

        return self._of_active(session_id, now, admitted, hold_until)

    async def finish(self, session_id: str, now: Instant, *, started: bool) -> Session | None:
        was = self._records.sessions.get(session_id)
        if was is None:
            return None
        session = replace(was, in_flight=max(0, was.in_flight - 1))
        if was.status is SessionStatus.ACTIVE:
            session = replace(_further(session, now), call_count=was.call_count - (not started))
        return self._changed(session)

    async def adopt(
        self,
        session_id: str,
        *,
        in_flight: int,
        call_count: int | None,
        hold_until: float,
        active_at: Instant | None = None,
    ) -> Session | None:
        was = self._records.sessions.get(session_id)
        if was is None or was.status is not SessionStatus.ACTIVE:
            return was
        count = was.call_count if call_count is None else call_count
        session = replace(was, in_flight=in_flight, call_count=count)
        return self._changed(session if active_at is None else _further(session, active_at), hold_until)

    async def hold(self, session_ids: Iterable[str], hold_until: float) -> None:
        found = [self._records.sessions[each] for each in session_ids if each in self._records.sessions]
        held = [each for each in found if each.in_flight and self._records.holds[each.id] < hold_until]
        self._write([(each, hold_until, False) for each in held])

    async def renew(self, session_id: str, now: Instant) -> Session | None:
        return self._of_active(session_id, now, lambda was: _slid(was, now))

    async def end(
        self,
        session_id: str,
        reason: EndReason,
        now: Instant,
        worker_exit: WorkerExit | None = None,
        *,
        running: int | None = None,
    ) -> Session | None:
        was = self._records.sessions.get(session_id)
        if was is None or was.status is not SessionStatus.ACTIVE:
            return was
        not_started = 0 if running is None else max(0, was.in_flight - running)
        ended = replace(was, call_count=was.call_count - not_started, worker_exit=worker_exit)
        return self._over(ended, reason, now)

    async def expire_if_due(self, session_id: str, now: Instant) -> Session | None:
        was = self._records.sessions.get(session_id)
        return self._over(was, EndReason.IDLE_TIMEOUT, now) if was is not None and self._is_due(was, now) else was

    async def expire_due(self, session_ids: Sequence[str], now: Instant) -> Sequence[Session]:
        found = [self._records.sessions[each] for each in session_ids if each in self._records.sessions]
        over = {each.id: _ended(each, EndReason.IDLE_TIMEOUT, now) for each in found if self._is_due(each, now)}
        self._write([(each, 0.0, True) for each in over.values()])
        return [over.get(each.id, each) for each in found]

    async def renew_many(self, session_ids: Collection[str], owner: str, now: Instant) -> Collection[str]:
        found = [self._records.sessions[each] for each in session_ids if each in self._records.sessions]
        active = [each for each in found if each.owner == owner and each.status is SessionStatus.ACTIVE]
        slid = [_slid(each, now) for each in active if not self._is_due(each, now)]
        self._write([(each, self._records.holds[each.id], False) for each in slid])
        return [each.id for each in slid]

    async def due(self, now: Instant, limit: int) -> Sequence[str]:
        due = [each for each in self._records.sessions.values() if self._is_due(each, now)]
        return [each.id for each in sorted(due, key=self._due_from)[:limit]]

    async def page(self, filter: SessionFilter, limit: int, cursor: str = "") -> Page:
        before = _number(cursor) if cursor else self._records.created + 1
        places = self._records.places
        older = [each for each in self._records.sessions.values() if places[each.id] < before and _passes(each, filter)]
        newest = sorted(older, key=lambda each: -places[each.id])[: limit + 1]
        shown = newest[:limit]
        return Page(shown, str(places[shown[-1].id]) if len(newest) > limit else "")

    async def count_active(self, owner: str, at_most: int) -> int:
        mine = SessionFilter(owner, SessionStatus.ACTIVE)
        return min(at_most, sum(_passes(each, mine) for each in self._records.sessions.values()))

    async def purge(self, ended_before: float) -> int:
        old = [
            each.id
            for each in self._records.sessions.values()
            if each.ended_at is not None and each.ended_at < ended_before
        ]
        self._append({"purge": old})
        return len(old)

    async def position(self) -> str:
        return self._cursor(self._records.happened)

    async def events(self, filter: SessionFilter, after: str, limit: int) -> EventPage:
        number, _, mark = after.partition(".")
        at, records = _number(number), self._records
        if mark != records.mark or at > records.happened or self._cursor(at) != after:
            raise InvalidCursor(after)
        if at < records.forgotten:
            raise EventsForgotten(after)
        found: list[StoredEvent] = []
        while at < records.happened and len(found) < limit:
            at += 1
            if _passes(records.events[at], filter):
                found.append(StoredEvent(records.events[at], self._cursor(at)))
        return EventPage(found, self._cursor(at))

    async def forget_events(self, happened_before: float) -> int:
        last = self._records.forgotten
        while last < self._records.happened and _happened(self._records.events[last + 1]) < happened_before:
            last += 1
        count = last - self._records.forgotten
        self._append({"forget": last})
        return count

    async def restore(self, sessions: Sequence[Session], hold_until: float) -> None:
        def is_news(session: Session) -> bool:
            known = self._records.sessions.get(session.id)
            return known is None or known.status is not session.status

        self._write([(each, hold_until if each.in_flight else 0.0, is_news(each)) for each in sessions])

    async def inspect(self) -> None:
        if self._file is None or not self._path.exists():
            raise StoreFailure(StoreProblem.GONE, f"{self._path} is not there")

    async def recover(self, failure: StoreFailure) -> None:
        """Write everything that is known into a new file, which proves that there can be one."""
        await self.close()
        try:
            self._write_anew()
        except OSError as error:
            raise StoreFailure(StoreProblem.IO, str(error)) from error

    def _of_active(
        self, session_id: str, now: Instant, work: Callable[[Session], Session], hold_until: float | None = None
    ) -> Session | None:
        """Do something with a session that is active and not due; a due one expires, a finished one stays as it is."""
        was = self._records.sessions.get(session_id)
        if was is None or was.status is not SessionStatus.ACTIVE:
            return was
        if self._is_due(was, now):
            return self._over(was, EndReason.IDLE_TIMEOUT, now)
        return self._changed(work(was), hold_until)

    def _over(self, was: Session, reason: EndReason, now: Instant) -> Session:
        session = _ended(was, reason, now)
        self._write([(session, 0.0, True)])
        return session

    def _changed(self, session: Session, hold_until: float | None = None) -> Session:
        self._write([(session, self._records.holds[session.id] if hold_until is None else hold_until, False)])
        return session

    def _due_from(self, session: Session) -> float:
        return max(session.deadline, self._records.holds[session.id] if session.in_flight else 0.0)

    def _is_due(self, session: Session, now: Instant) -> bool:
        return session.status is SessionStatus.ACTIVE and self._due_from(session) <= now.monotonic

    def _cursor(self, number: int) -> str:
        return f"{number}.{self._records.mark}"

    def _write(self, rows: Sequence[tuple[Session, float, bool]]) -> None:
        """Put sessions on record, with how long calls hold them and whether that is an event, all in one step."""
        if not rows:
            return
        put = [{"session": _as_json(each), "hold": hold, "event": event} for each, hold, event in rows]
        self._append({"put": put})

    def _append(self, change: dict[str, Any]) -> None:
        """Write a change, and only then make it. Raises StoreFailure, and nothing has changed."""
        if self._file is None:
            raise RuntimeError("the store is not open")
        line = json.dumps(change).encode() + b"\n"
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(f"there is no room for {len(line)} bytes")
        except OSError as error:
            os.ftruncate(self._file, end)
            raise StoreFailure(StoreProblem.FULL, str(error)) from error
        self._records.apply(json.loads(line))

    def _read(self) -> None:
        """Read the records of the first line and the changes after it, all but one that a crash has cut short."""
        self._records = Records()
        if self._path.exists():
            first, *changes = self._path.read_bytes().split(b"\n")[:-1]
            self._records = _RECORDS.validate_json(first)
            for line in changes:
                self._records.apply(json.loads(line))
        self._write_anew()

    def _write_anew(self) -> None:
        """Write a file of one line, which takes the place of the old one when it is whole."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_bytes(_RECORDS.dump_json(self._records) + b"\n")
        new.rename(self._path)
        self._file = os.open(self._path, os.O_RDWR)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise InvalidCursor(text)
    return int(text)


def _as_json(session: Session) -> Any:
    """Return a session as the journal has it. Raises ValueError for one that could not be read again."""
    row = _SESSION.dump_python(session, mode="json", warnings="none")
    _SESSION.validate_python(row)
    return row


def _slid(session: Session, now: Instant) -> Session:
    return replace(session, deadline=now.monotonic + session.timeout, expires_at=now.wall + session.timeout)


def _further(session: Session, now: Instant) -> Session:
    """The window slides, unless it reaches further already."""
    return _slid(session, now) if now.monotonic + session.timeout > session.deadline else session


def _ended(session: Session, reason: EndReason, now: Instant) -> Session:
    status = TRANSITIONS[SessionStatus.ACTIVE, reason]
    return replace(session, status=status, end_reason=reason, ended_at=now.wall)


def _happened(session: Session) -> float:
    return session.created_at if session.ended_at is None else session.ended_at


def _passes(session: Session, filter: SessionFilter) -> bool:
    return (
        filter.owner in (None, session.owner)
        and filter.status in (None, session.status)
        and filter.app in (None, session.app.name)
        and filter.version in (None, session.app.version)
    )


def store(url: str, clock: Clock, retention: float) -> SessionStore:
    """Return the store for `store.factory`; `store.url` is journal:///PATH. It needs no time of its own, and what is
    kept for how long is what it is told by `purge`.
    """
    del clock, retention
    return JournalStore(Path(url.removeprefix("journal://")))
