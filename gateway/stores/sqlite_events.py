"""The events in the SQLite store: one row for each session that began or finished, with the session as it then was.

Triggers write the rows, so that a change and its event are one atomic step, and only the statements that create, end
or expire a session pay for it: the calls and keepalives of a session never set its status.

A cursor is the number of a row and a mark that was drawn for this row alone, and is good while the row is there. So
one of another file, or of a later state of a file that was put back from a backup, is never taken for one of this:
numbers are alike everywhere, marks are not.
"""

import re
import sqlite3
from collections.abc import Callable
from typing import Any

from gateway.model import Session
from gateway.stores.base import EventPage, EventsForgotten, InvalidCursor, SessionFilter, StoredEvent

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9a-f]{16})", re.ASCII)

_HAPPENED = "coalesce(ended_at, created_at)"

# The newest row that is old enough stays: the cursors of those who have seen it are still good, and there is always a
# row to begin behind. From the oldest on, and no further than to the first that is not old enough: a wall clock that
# was set back must not have a younger event forgotten before an older one.
_FORGET = f"""DELETE FROM events WHERE seq < (SELECT max(seq) FROM events WHERE seq < coalesce(
    (SELECT seq FROM events WHERE {_HAPPENED} >= ? ORDER BY seq LIMIT 1), (SELECT max(seq) + 1 FROM events)))"""

_LAST = "SELECT seq, mark FROM events ORDER BY seq DESC LIMIT 1"


class EventLog:
    """The table `events` beside the table `sessions` of the same connection.

    `columns` are those of a session, separated by commas, and `session_of` makes a Session of their values.
    """

    def __init__(self, columns: str, session_of: Callable[[Any], Session]) -> None:
        self._session_of = session_of
        self._select = f"SELECT {columns}, seq, mark FROM events"
        written = ", ".join(f"NEW.{name.strip()}" for name in columns.split(","))
        write = f"BEGIN INSERT INTO events ({columns}) VALUES ({written}); END"
        self.schema = f"""
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,  -- order of events, never given twice: the newest row is never deleted
    mark TEXT NOT NULL DEFAULT (lower(hex(randomblob(8)))),
    {columns}  -- untyped: the values come as the strict table of sessions has them
);
CREATE INDEX IF NOT EXISTS events_by_owner ON events (owner, seq);
CREATE TRIGGER IF NOT EXISTS session_began AFTER INSERT ON sessions {write};
CREATE TRIGGER IF NOT EXISTS session_finished AFTER UPDATE OF status ON sessions
    WHEN NEW.status <> OLD.status {write};
-- Before the first event: nobody's, and of no session.
INSERT INTO events (status, created_at) SELECT 'none', 0 WHERE NOT EXISTS (SELECT 1 FROM events);
"""

    def position(self, db: sqlite3.Connection) -> str:
        """Return the cursor behind everything that has happened."""
        return _cursor(*self._last(db))

    def page(self, db: sqlite3.Connection, filter: SessionFilter, after: str, limit: int) -> EventPage:
        """Return the next events behind a cursor. Raises InvalidCursor, EventsForgotten."""
        first, mark = _parsed(after)
        last, last_mark = self._last(db)
        if (first, mark) == (last, last_mark):
            return EventPage((), after)
        rows = self._rows(db, filter, first, last, limit)
        # Only now: another process may have had events forgotten before they were read, but not once this row is seen.
        if db.execute("SELECT 1 FROM events WHERE seq = ? AND mark = ?", (first, mark)).fetchone() is None:
            (oldest,) = db.execute("SELECT min(seq) FROM events").fetchone()
            raise EventsForgotten(after) if first < oldest else InvalidCursor(after)
        events = [StoredEvent(self._session_of(row), _cursor(*row[-2:])) for row in rows]
        # Fewer than asked for: everything up to the last row was looked at, other owners' events too.
        return EventPage(events, events[-1].cursor if len(events) == limit else _cursor(last, last_mark))

    def forget(self, db: sqlite3.Connection, happened_before: float) -> int:
        """Delete events from before this wall-clock time, the oldest first. Returns how many."""
        return db.execute(_FORGET, (happened_before,)).rowcount

    def begin_anew(self, db: sqlite3.Connection) -> None:
        """Forget all that has happened: some of it is lost, and no watch may go on as if nothing were missing."""
        db.execute("INSERT INTO events (status, created_at) VALUES ('none', 0)")
        db.execute("DELETE FROM events WHERE seq < (SELECT max(seq) FROM events)")

    def _last(self, db: sqlite3.Connection) -> tuple[int, str]:
        found = db.execute(_LAST).fetchone()
        if found is None:  # somebody has emptied the table
            self.begin_anew(db)
            found = db.execute(_LAST).fetchone()
        return int(found[0]), str(found[1])

    def _rows(self, db: sqlite3.Connection, filter: SessionFilter, first: int, last: int, limit: int) -> list[Any]:
        wanted = {"owner": filter.owner, "app": filter.app, "version": filter.version}
        wanted["status"] = filter.status.value if filter.status else None
        clauses = [f"{column} = :{column}" for column, value in wanted.items() if value is not None]
        where = " AND ".join(["seq > :first", "seq <= :last", "id IS NOT NULL", *clauses])
        return db.execute(
            f"{self._select} WHERE {where} ORDER BY seq LIMIT :limit",
            {**wanted, "first": first, "last": last, "limit": limit},
        ).fetchall()


def _cursor(seq: int, mark: str) -> str:
    return f"{seq}.{mark}"


def _parsed(cursor: str) -> tuple[int, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidCursor(cursor)
    return int(match[1]), match[2]
