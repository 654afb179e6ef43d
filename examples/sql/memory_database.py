"""One SQLite database in memory: tables are loaded whole, and queries can only read."""

import base64
import json
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from csv_columns import Table, Value

Scalar = int | float | str | bool | None
Cell = int | float | str | dict[str, str] | None
Parameters = Sequence[Scalar] | Mapping[str, Scalar]

# The longest text or blob that a query may make, so that `zeroblob(1e9)` is an error and not the end of the process.
MAX_VALUE_BYTES = 16 * 1024 * 1024
# What one answer may weigh; well under the 4 MiB that gRPC clients receive by default.
MAX_ANSWER_BYTES = 1024 * 1024
# Steps of SQLite's virtual machine between two looks at the clock: about a tenth of a millisecond.
_STEPS_PER_CHECK = 10_000

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_READING_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "function_list"}


class RefusedError(Exception):
    """The statement would do more than read."""


class TimeLimitError(Exception):
    """The query took longer than it may."""


class TooLargeError(Exception):
    """A single row is larger than an answer may be."""


@dataclass(frozen=True)
class Rows:
    """The rows of a query, and whether there are more of them."""

    columns: list[str]
    rows: list[list[Cell]]
    truncated: bool


@dataclass(frozen=True)
class TableInfo:
    """A loaded table: its columns as pairs of name and type."""

    name: str
    columns: list[tuple[str, str]]
    row_count: int


class MemoryDatabase:
    """For one caller at a time: from any thread, but never from two at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        # SQLite keeps any bytes as text; bad UTF-8 must not make a row unreadable.
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        self._refused = False

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()

    def load(self, name: str, table: Table, replace: bool) -> None:
        """Make a table, whole or not at all.

        Raises sqlite3.Error if it is there already and is not to be replaced, or if SQLite cannot hold it.
        """
        columns = ", ".join(f"{quoted(column.name)} {column.type.upper()}" for column in table.columns)
        places = ", ".join("?" * len(table.columns))
        self._connection.execute("BEGIN")
        try:
            if replace:
                self._connection.execute(f"DROP TABLE IF EXISTS {quoted(name)}")
            self._connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
            self._connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({places})", table.rows)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def tables(self) -> list[TableInfo]:
        """All tables, in order of their names."""
        names = self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        return [self._table(name) for (name,) in names.fetchall()]

    def query(self, sql: str, parameters: Parameters, limit: int, seconds: float, stop: threading.Event) -> Rows:
        """Run one statement that only reads, and return at most `limit` rows.

        Raises RefusedError for a statement that writes, TimeLimitError after `seconds` or when `stop` is set,
        TooLargeError if a row alone is over MAX_ANSWER_BYTES, and sqlite3.Error (or OverflowError for an integer
        parameter over 64 bits, UnicodeError for text that is not Unicode) for what SQLite cannot do.
        """
        with self._reading_only(), self._limited(seconds, stop):
            cursor = self._connection.execute(sql, parameters)
            try:
                names = [column[0] for column in cursor.description or ()]
                return Rows(names, *_bounded(cursor, limit))
            finally:
                cursor.close()

    def batches(
        self, sql: str, parameters: Parameters, size: int, seconds: float, stop: threading.Event
    ) -> Generator[Rows, None, None]:
        """Run one statement that only reads, and yield all of its rows: at most `size` at a time, and at least once.

        Raises what `query` raises, whose `seconds` are here those for one batch. Nothing else may be done with the
        database before the generator has ended or is closed.
        """
        with self._reading_only():
            with self._limited(seconds, stop):
                cursor = self._connection.execute(sql, parameters)
            try:
                names = [column[0] for column in cursor.description or ()]
                batches = _batched(cursor, size)
                while True:
                    with self._limited(seconds, stop):
                        batch = next(batches, None)
                    if batch is None:
                        return
                    yield Rows(names, batch, truncated=False)
            finally:
                cursor.close()

    def _table(self, name: str) -> TableInfo:
        columns = self._connection.execute("SELECT name, lower(type) FROM pragma_table_info(?)", [name]).fetchall()
        (row_count,) = self._connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()
        return TableInfo(name, columns, row_count)

    @contextmanager
    def _reading_only(self) -> Iterator[None]:
        self._refused = False
        self._connection.set_authorizer(self._authorize)
        try:
            yield
        except sqlite3.DatabaseError as error:
            if self._refused:
                raise RefusedError("this statement would do more than read") from error
            raise
        finally:
            self._connection.set_authorizer(None)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        loads_code = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
        if action in _READING and not loads_code:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and first in _READING_PRAGMAS:
            return sqlite3.SQLITE_OK
        self._refused = True
        return sqlite3.SQLITE_DENY

    @contextmanager
    def _limited(self, seconds: float, stop: threading.Event) -> Iterator[None]:
        deadline = self._clock() + seconds

        def over() -> bool:
            return stop.is_set() or self._clock() >= deadline

        self._connection.set_progress_handler(over, _STEPS_PER_CHECK)
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TimeLimitError(f"stopped after {seconds:g} s") from error
            raise
        finally:
            self._connection.set_progress_handler(None, 0)


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def _bounded(cursor: Iterable[tuple[Value | bytes, ...]], limit: int) -> tuple[list[list[Cell]], bool]:
    rows: list[list[Cell]] = []
    room = MAX_ANSWER_BYTES
    for row in cursor:
        if len(rows) == limit:
            return rows, True
        room -= sum(map(_weight, row))
        if room < 0 and not rows:
            raise TooLargeError(f"the first row is larger than {MAX_ANSWER_BYTES} bytes")
        if room < 0:
            return rows, True
        rows.append([_cell(value) for value in row])
    return rows, False


def _batched(cursor: Iterable[tuple[Value | bytes, ...]], size: int) -> Iterator[list[list[Cell]]]:
    batch: list[list[Cell]] = []
    room, is_first = MAX_ANSWER_BYTES, True
    for row in cursor:
        weight = sum(map(_weight, row))
        if weight > MAX_ANSWER_BYTES:
            raise TooLargeError(f"a row is larger than {MAX_ANSWER_BYTES} bytes")
        if weight > room:
            yield batch
            batch, room, is_first = [], MAX_ANSWER_BYTES, False
        room -= weight
        batch.append([_cell(value) for value in row])
        if len(batch) == size:
            yield batch
            batch, room, is_first = [], MAX_ANSWER_BYTES, False
    if batch or is_first:
        yield batch


def _weight(value: Value | bytes) -> int:
    if isinstance(value, bytes):
        return len(value) * 4 // 3 + 20
    # Escapes in JSON make a text up to six times longer. Text from SQLite has no surrogates: see `text_factory`.
    return len(json.dumps(value, ensure_ascii=False).encode())


def _cell(value: Value | bytes) -> Cell:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
