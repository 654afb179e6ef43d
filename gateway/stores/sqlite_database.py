"""One SQLite database: its connection, its failures, and how it comes back from them."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from gateway.stores.base import StoreFailure, StoreProblem, StoreUnusable
from gateway.stores.sqlite_checkpoints import Checkpoints
from gateway.stores.sqlite_errors import failure_of, is_busy, problem_of
from gateway.stores.sqlite_files import DatabaseFiles, make_private
from gateway.stores.sqlite_recovery import damage_in, probe, rebuild, write_back
from gateway.timing import STORE_CHECK, STORE_OPEN_PATIENCE, STORE_TURN

Values = Sequence[object] | dict[str, object]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Connect = Callable[[Path], sqlite3.Connection]

BEGIN = "BEGIN IMMEDIATE"
"""Begins a transaction that writes, or fails at once if another one does."""


class Database:
    """Runs statements, each a transaction of its own. Every error about the database's state is a StoreFailure."""

    def __init__(
        self,
        path: Path,
        connect: Connect,
        create: Connect,
        on_loss: Callable[[sqlite3.Connection], object],
        *,
        shared: bool = False,
    ) -> None:
        """`connect` opens a database as it is to be used, making its schema if there is none; `create` makes an empty
        one, complete as soon as it is closed. `on_loss` is called with one that was made of a damaged file when
        not all could be read of that. `shared`: other processes of this gateway have it open as well.
        """
        self._files = DatabaseFiles(path, shared=shared)
        self._shared = shared
        self._connect = connect
        self._create = create
        self._on_loss = on_loss
        self._db: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._damage = ""
        """What was found to be damaged, until the file has been built anew."""

    def open(self) -> None:
        """Connect. Raises StoreUnusable."""
        try:
            with self._files.alone():
                self._files.prepare()
                self._db = self._opened()
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(f"cannot open the store {self._files.path}: {error}") from error

    async def quiet(self) -> None:
        """Return when nothing of it runs in a thread."""
        if self._checkpoints is not None:
            await self._checkpoints.quiet()

    def close(self) -> None:
        """Disconnect, while it is quiet. Closing twice is fine."""
        self._end_checkpoints()
        if self._db is not None:
            self._db.close()
            self._db = None

    def all(self, statement: str, values: Values) -> list[Any]:
        """Run a statement and return its rows."""
        # fetchall: a RETURNING statement only commits once all its rows are fetched.
        try:
            rows = self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if self._shared and is_busy(error):
                return self.using(lambda db: db.execute(statement, values).fetchall())
            raise self._failed(error) from error
        self._consider_checkpoint()
        return rows

    def changed(self, statement: str, values: Values) -> int:
        """Run a statement that returns no rows, and return how many it has changed."""
        try:
            return self._patiently(lambda: self._connection.execute(statement, values).rowcount)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> int:
        """Run a statement for each of these rows, for all or none. Returns how many rows were changed."""
        return self.transaction(lambda db: db.executemany(statement, rows).rowcount)

    def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` makes of the connection. What it changes is on record then, or else nothing of it."""

        def begun(db: sqlite3.Connection) -> T:
            db.execute(BEGIN)
            return work(db)

        return self.committed(begun)

    def committed(self, work: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """The same for work that begins a transaction by itself, where it has more than one statement."""
        db = self._connection
        try:
            if self._shared:
                # A lock is met by the first statement, or by none: nothing has been done by then.
                answer = self._patiently(lambda: _committed(db, work, *args))
            else:
                answer = _committed(db, work, *args)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._consider_checkpoint()
        return answer

    def using(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` makes of the connection."""
        try:
            return self._patiently(lambda: work(self._connection))
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def inspect(self) -> None:
        """Raise StoreFailure when the files are not what was opened."""
        self._files.inspect()

    async def recover(self, failure: StoreFailure) -> None:
        """See `SessionStore.recover`."""
        await self.quiet()
        self._end_checkpoints()
        # In a thread, as it may take seconds; nobody else uses the connection meanwhile.
        try:
            await asyncio.to_thread(self._recover, failure)
        except (OSError, sqlite3.Error) as error:
            raise failure_of(error) or error from error

    def _patiently(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, trying again for a moment while another process of this gateway writes."""
        until = 0.0
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                now = time.monotonic()
                until = until or now + STORE_TURN
                if not (self._shared and is_busy(error)) or now >= until:
                    raise
            os.sched_yield()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("the store is not open")
        return self._db

    def _failed(self, error: sqlite3.Error) -> Exception:
        """Return the failure that an error stands for; the error itself when it is not about the store's state."""
        if getattr(error, "sqlite_errorcode", None) is None or isinstance(error, sqlite3.IntegrityError):
            return error
        try:
            self._files.inspect()  # whatever else it says: the files are the cause
        except StoreFailure as gone:
            return gone
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR and not _has_schema(self._connection):
            return StoreFailure(StoreProblem.DAMAGED, str(error))
        return failure_of(error) or error

    def _opened(self) -> sqlite3.Connection:
        """Open the file, or what can be read of it. Raises sqlite3.Error, OSError and StoreUnusable."""
        path = self._files.path
        db = damage = None
        try:
            db = self._connect(path)
            damage = damage_in(db, STORE_CHECK)
        except sqlite3.Error as error:
            if problem_of(error) is not StoreProblem.DAMAGED:
                raise
            damage = str(error)
        if db is None or damage is not None:
            rebuild(self._files, db or connection(path), damage or "", self._create, self._on_loss)
            db = self._connect(path)
        # From now on calls wait behind each statement: a lock is for whoever called to wait for, not for the thread.
        db.execute("PRAGMA busy_timeout = 0")
        self._begin_checkpoints(db)
        self._files.remember()
        return db

    def _consider_checkpoint(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.consider()

    def _begin_checkpoints(self, db: sqlite3.Connection) -> None:
        self._checkpoints = Checkpoints(db, connection(self._files.path))

    def _end_checkpoints(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None

    def _recover(self, failure: StoreFailure) -> None:
        with self._files.alone():
            self._recover_alone(failure)

    def _recover_alone(self, failure: StoreFailure) -> None:
        if self._db is not None and self._files.replaced_by_sibling():
            db, self._db, self._damage = self._db, None, ""  # what was to be done is done
            db.close()
            self._db = self._opened()
            return
        if failure.problem is StoreProblem.DAMAGED:
            self._damage = str(failure)
        if self._db is not None and not self._damage:
            self._recover_files(failure)
        if self._db is not None and self._damage:
            with self._giving_up(self._db):
                rebuild(self._files, self._db, self._damage, self._create, self._on_loss)
        if self._db is None:
            self._db = self._opened()
        self._damage = ""
        probe(self._db)
        if self._checkpoints is None:  # a connection that has outlived the trouble, on files that were looked at
            self._begin_checkpoints(self._db)

    @contextlib.contextmanager
    def _giving_up(self, db: sqlite3.Connection) -> Iterator[None]:
        """Forget the connection once it has been closed, but not before: what it has in memory may be all there is."""
        try:
            yield
        finally:
            if not _is_open(db):
                self._db = None

    def _recover_files(self, failure: StoreFailure) -> None:
        db = self._connection
        try:
            self._files.inspect()
        except StoreFailure as gone:
            try:
                with self._giving_up(db):
                    write_back(self._files, db, str(gone))
            except sqlite3.Error as error:
                if problem_of(error) is not StoreProblem.DAMAGED:
                    raise
                self._damage = f"{gone}, and then {error}"
            return
        if failure.problem is StoreProblem.IO:
            self._damage = damage_in(db, STORE_CHECK) or ""


def connection(path: Path) -> sqlite3.Connection:
    """Return a connection on which each statement is a transaction of its own. Raises sqlite3.Error."""
    make_private(path)
    return sqlite3.connect(
        path, isolation_level=None, timeout=STORE_OPEN_PATIENCE, cached_statements=64, check_same_thread=False
    )


def _is_open(db: sqlite3.Connection) -> bool:
    try:
        return db.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


def _committed(db: sqlite3.Connection, work: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
    try:
        answer = work(db, *args)
        if db.in_transaction:
            db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return answer


def _has_schema(db: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.Error):
        return bool(db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sessions'").fetchall())
    return False
