"""When the log of the SQLite store is put into the database, and who waits for that."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.stores.base import StoreFailure, StoreProblem
from gateway.stores.sqlite import SqliteStore
from gateway.stores.sqlite_checkpoints import CHECKPOINT_CHANGES, LOG_KEPT, Checkpoints
from gateway.testing.store_harness import START, a_session, added, at
from gateway.testing.waiting import DEADLINE, until

GONE = StoreFailure(StoreProblem.GONE, "a file is gone")


def size(path: Path) -> int:
    return path.stat().st_size


def unlink(path: Path) -> None:
    path.unlink()


def checkpoints(store: SqliteStore) -> Checkpoints:
    assert store._db._checkpoints is not None
    return store._db._checkpoints


async def written(store: SqliteStore) -> None:
    """Write as much as makes a checkpoint due."""
    await store.restore([a_session() for _ in range(CHECKPOINT_CHANGES)], 0.0)


def beginnings(path: Path) -> int:
    """Return how often the log has begun anew, which is in its header (fileformat2.html, section 4.1).

    Only the log may be opened beside SQLite: on the other files it holds locks, which end when anyone closes them.
    """
    with path.with_name(f"{path.name}-wal").open("rb") as log:
        log.seek(12)
        return int.from_bytes(log.read(4))


class Held:
    """The connection of a store's checkpoints, whose statements last until they are let go."""

    def __init__(self, own: sqlite3.Connection) -> None:
        self.own = own
        self.done = threading.Event()
        """Set when the first has done all it has to."""
        self.threads: list[int] = []
        self._go_on = threading.Event()

    def execute(self, statement: str) -> sqlite3.Cursor:
        cursor = self.own.execute(statement)
        self.threads.append(threading.get_ident())
        self.done.set()
        self._go_on.wait(DEADLINE)
        return cursor

    def let_go(self) -> None:
        self._go_on.set()

    def close(self) -> None:
        self.own.close()


@pytest.fixture
async def held(store: SqliteStore) -> AsyncIterator[Held]:
    held = Held(checkpoints(store)._own)
    checkpoints(store)._own = held  # type: ignore[assignment]
    yield held
    held.let_go()


async def test_the_log_begins_anew_when_much_has_been_written(store: SqliteStore, path: Path) -> None:
    before = beginnings(path)
    await written(store)
    await checkpoints(store).quiet()
    await added(store)
    assert beginnings(path) == before + 1


async def test_the_log_begins_anew_although_the_thread_could_not_do_all_of_it(
    store: SqliteStore, path: Path, held: Held
) -> None:
    before = beginnings(path)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sessions").fetchone()  # nothing that comes later, until this one is gone
    await written(store)
    await until(held.done.is_set)
    reader.close()
    held.let_go()
    await checkpoints(store).quiet()
    await added(store)
    assert beginnings(path) == before + 1


class Writer:
    """Another process's connection, which writes without a pause."""

    def __init__(self, path: Path, session_id: str) -> None:
        self._over = threading.Event()
        self._path, self._id = path, session_id
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=DEADLINE)
        while not self._over.is_set():
            db.execute("UPDATE sessions SET call_count = call_count + 1 WHERE id = ?", (self._id,))
        db.close()


async def test_the_log_begins_anew_although_another_process_writes_all_the_time(store: SqliteStore, path: Path) -> None:
    session, before = await added(store), beginnings(path)
    writer = Writer(path, session.id)
    try:
        async with asyncio.timeout(DEADLINE):
            while beginnings(path) == before:
                with contextlib.suppress(StoreFailure):  # it is the other's turn
                    await written(store)
                await checkpoints(store).quiet()
    finally:
        writer.stop()


async def test_a_log_that_had_to_grow_gives_back_the_room(store: SqliteStore, path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sessions").fetchone()
    while size(log) <= LOG_KEPT:
        await written(store)
    reader.close()
    await written(store)
    await checkpoints(store).quiet()
    await added(store)
    assert size(log) <= LOG_KEPT


async def test_calls_are_admitted_while_a_thread_waits_for_the_disk(store: SqliteStore, held: Held) -> None:
    session = await added(store)
    await written(store)
    await until(held.done.is_set)
    admitted = await store.admit(session.id, at(1), START + 15)
    assert admitted is not None
    assert admitted.call_count == 1
    assert threading.get_ident() not in held.threads


async def test_one_checkpoint_is_made_at_a_time(store: SqliteStore, held: Held) -> None:
    await written(store)
    await until(held.done.is_set)
    await written(store)
    held.let_go()
    await checkpoints(store).quiet()
    assert len(held.threads) == 1


async def test_little_is_left_in_the_log(store: SqliteStore, path: Path) -> None:
    session, before = await added(store), beginnings(path)
    for second in range(10):
        await store.admit(session.id, at(second), START + 15)
    await checkpoints(store).quiet()
    await added(store)
    assert beginnings(path) == before


@pytest.mark.parametrize(
    "end", [lambda store: store.close(), lambda store: store.recover(GONE)], ids=["close", "recover"]
)
async def test_whoever_ends_the_connection_waits_for_the_checkpoint(
    store: SqliteStore, held: Held, end: Callable[[SqliteStore], Coroutine[Any, Any, None]]
) -> None:
    await written(store)
    await until(held.done.is_set)
    ending = asyncio.ensure_future(end(store))
    await asyncio.sleep(0)
    assert not ending.done()
    held.let_go()
    await ending


async def test_a_store_that_was_recovered_makes_checkpoints(store: SqliteStore, path: Path) -> None:
    unlink(path)
    await store.recover(GONE)
    before = beginnings(path)
    await written(store)
    await checkpoints(store).quiet()
    await added(store)
    assert beginnings(path) == before + 1


async def test_a_store_whose_disk_was_full_makes_checkpoints_again(store: SqliteStore, path: Path) -> None:
    await store.recover(StoreFailure(StoreProblem.FULL, "there was no room"))
    before = beginnings(path)
    await written(store)
    await checkpoints(store).quiet()
    await added(store)
    assert beginnings(path) == before + 1


async def test_a_checkpoint_that_fails_is_made_up_for_by_the_next(store: SqliteStore, path: Path) -> None:
    own, before = checkpoints(store)._own, beginnings(path)
    checkpoints(store)._own = sqlite3.connect(":memory:")
    checkpoints(store)._own.close()
    await written(store)
    await checkpoints(store).quiet()
    checkpoints(store)._own = own
    await written(store)
    await checkpoints(store).quiet()
    await added(store)
    assert beginnings(path) > before
