"""Copying what can be read from a damaged SQLite database into a sound one, whatever its tables are.

Rows are read in the order of their rowid from both ends. Where reading fails a page is damaged; the range in between is
halved until what can be read of it has been read.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_MAX_FAILURES = 20_000
"""Failed reads of one table after which the rest of it is given up: some seconds."""


@dataclass
class Salvaged:
    """What has come over."""

    rows: dict[str, int]
    """Rows by table."""
    complete: bool = True
    """No read has failed."""


def salvage(source: sqlite3.Connection, target: sqlite3.Connection) -> Salvaged:
    """Copy every table that both have, in one transaction of the target. The target's triggers stay silent.

    Rows that the target refuses, because what is in them cannot be, are left out.
    """
    found = Salvaged({})
    with _without_triggers(target):
        for table in tables_of(target):
            columns = _common_columns(source, target, table, found)
            copied = _Copy(source, target, table, columns) if columns else None
            if copied is not None:
                copied.run()
                found.complete &= copied.failures == 0
            found.rows[table] = copied.rows if copied else 0
        _keep_sequences(source, target)
    return found


def tables_of(db: sqlite3.Connection) -> list[str]:
    """Return the names of the tables, but SQLite's own."""
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return [row[0] for row in db.execute(names).fetchall()]


class _Copy:
    def __init__(
        self, source: sqlite3.Connection, target: sqlite3.Connection, table: str, columns: Sequence[str]
    ) -> None:
        self.rows = 0
        self.failures = 0
        names = ", ".join(map(_quoted, columns))
        self._source = source
        self._target = target
        self._insert = f"INSERT OR IGNORE INTO {_quoted(table)} (rowid, {names}) VALUES (?{', ?' * len(columns)})"
        # NOT INDEXED: an index may be sound where the table is not, and say what is not so.
        self._select = (
            f"SELECT rowid, {names} FROM {_quoted(table)} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
        )

    def run(self) -> None:
        """Copy everything that can be read."""
        ranges = [(_SMALLEST, _LARGEST)]
        while ranges and self.failures <= _MAX_FAILURES:
            low, high = ranges.pop()
            upward = self._read("ASC", low, high)
            if upward is None or upward >= high:
                continue
            downward = self._read("DESC", upward + 1, high)
            if downward is None or downward - 1 <= upward:
                continue
            # Neither end of what is left can be read; a page in the middle may be.
            low, high = upward + 1, downward - 1
            if low < high:
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]

    def _read(self, direction: str, low: int, high: int) -> int | None:
        """Copy rows until a read fails, and return the last rowid that is done with; None when none failed."""
        last = low - 1 if direction == "ASC" else high + 1
        with closing(self._source.cursor()) as cursor:
            started = False
            while True:
                try:
                    if not started:
                        cursor.execute(f"{self._select} {direction}", (low, high))
                        started = True
                    row = cursor.fetchone()
                except sqlite3.DatabaseError:
                    self.failures += 1
                    return last
                if row is None:
                    return None
                # Outside of what is caught: a target that cannot be written is no damage of the source.
                self._add(row)
                last = row[0]

    def _add(self, row: Sequence[object]) -> None:
        try:
            self.rows += max(self._target.execute(self._insert, row).rowcount, 0)
        except sqlite3.IntegrityError:
            self.failures += 1  # a type or a value that the table does not allow: what was read is not what was written


def _common_columns(
    source: sqlite3.Connection, target: sqlite3.Connection, table: str, found: Salvaged
) -> Sequence[str]:
    try:
        there = set(_columns(source, table))
    except sqlite3.DatabaseError:
        there = set()
    found.complete &= bool(there)
    return [name for name in _columns(target, table) if name in there]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()]


def _keep_sequences(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    # Numbers of rows that are there no more must not be given again.
    try:
        sequences = source.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    except sqlite3.DatabaseError:
        return
    for name, seq in sequences:
        changed = target.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (seq, name))
        if changed.rowcount == 0 and name in tables_of(target):
            target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, seq))


@contextmanager
def _without_triggers(db: sqlite3.Connection) -> Iterator[None]:
    """Run a transaction in which no trigger of the database fires."""
    triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    db.execute("BEGIN IMMEDIATE")
    try:
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {_quoted(name)}")
        yield
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
