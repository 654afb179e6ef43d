"""The SQLite store keeps the contract of stores, and what is its own: files, schemas, several processes."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.model import EndReason, Session, SessionStatus
from gateway.stores import sqlite, sqlite_calls
from gateway.stores.base import InvalidCursor, SessionStore, StoreUnusable
from gateway.stores.guarded import GuardedStore
from gateway.stores.sqlite import SCHEMA_VERSION, SqliteStore
from gateway.testing.store_harness import ANY, START, TIMEOUT, Reopen, added, at
from gateway.testing.store_suite import SessionStoreSuite

RACES = 200
ENDING = ("id", "status", "reason", "wall", "code", "signal", "running")


@pytest.fixture
async def reopen(store: SessionStore, path: Path) -> AsyncIterator[Reopen]:
    opened = []

    async def again() -> SessionStore:
        await store.close()
        opened.append(SqliteStore(path))
        await opened[0].open()
        return opened[0]

    yield again
    for other in opened:
        await other.close()


class TestSqliteStore(SessionStoreSuite):
    pass


class TestSharedSqliteStore(SessionStoreSuite):
    """The store of one process of several keeps the same promises."""

    @pytest.fixture
    async def store(self, path: Path) -> AsyncIterator[SessionStore]:
        store = SqliteStore(path, shared=True)
        await store.open()
        yield store
        await store.close()


class TestGuardedSqliteStore(SessionStoreSuite):
    @pytest.fixture
    async def store(self, path: Path) -> AsyncIterator[SessionStore]:
        store = GuardedStore(SqliteStore(path), SystemClock())
        await store.open()
        yield store
        await store.close()


async def test_what_was_written_is_there_although_nobody_closed_the_store(store: SessionStore, path: Path) -> None:
    session = await added(store)
    await store.admit(session.id, at(1), START + 100)
    await asyncio.sleep(0)  # the turn of the loop is over
    other = SqliteStore(path)
    await other.open()
    assert await other.get(session.id) == await store.get(session.id)
    await other.close()


async def test_a_store_of_a_newer_release_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as newer:
        newer.execute("CREATE TABLE sessions (of_the_future)")
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    with pytest.raises(StoreUnusable, match="newer release"):
        await SqliteStore(path).open()
    with sqlite3.connect(path) as newer:
        assert newer.execute("SELECT sql FROM sqlite_master").fetchall() == [("CREATE TABLE sessions (of_the_future)",)]
    newer.close()


async def test_a_store_of_the_first_release_gets_events_and_keeps_its_sessions(store: SessionStore, path: Path) -> None:
    sessions = [await added(store), await added(store)]
    await store.end(sessions[1].id, EndReason.CALLER, at(1))
    before = [await store.get(session.id) for session in sessions]
    await store.close()
    with sqlite3.connect(path) as older:
        for what, name in older.execute("SELECT type, name FROM sqlite_master WHERE sql LIKE '%events%'").fetchall():
            older.execute(f"DROP {what} IF EXISTS {name}")
        older.execute("PRAGMA user_version = 1")
    older.close()
    upgraded = SqliteStore(path)
    await upgraded.open()
    assert [await upgraded.get(session.id) for session in sessions] == before
    position = await upgraded.position()
    await upgraded.end(sessions[0].id, EndReason.CALLER, at(2))
    assert [event.session.id for event in (await upgraded.events(ANY, position, 10)).events] == [sessions[0].id]
    await upgraded.close()


async def test_a_position_in_another_file_or_in_what_a_backup_has_undone_is_invalid(
    store: SessionStore, path: Path, tmp_path: Path
) -> None:
    await added(store)
    in_backup = await store.position()
    with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "backup.db") as target:
        source.backup(target)
    source.close()
    target.close()
    await added(store)
    undone = await store.position()
    other = SqliteStore(tmp_path / "backup.db")
    await other.open()
    for _ in range(3):
        await added(other)
    with pytest.raises(InvalidCursor):
        await other.events(ANY, undone, 10)
    assert len((await other.events(ANY, in_backup, 10)).events) == 3
    empty = SqliteStore(tmp_path / "empty.db")
    await empty.open()
    with pytest.raises(InvalidCursor):
        await store.events(ANY, await empty.position(), 10)
    await empty.close()
    await other.close()


async def test_calls_and_keepalives_write_no_event(store: SessionStore, path: Path) -> None:
    session = await added(store)
    with sqlite3.connect(path) as db:
        values = {"now": 1, "wall": 1, "hold": 1, "id": session.id, "taken_back": 0}
        named = [f"{statement} id" for statement in (sqlite_calls._ADMIT, sqlite_calls._FINISH, sqlite_calls._RENEW)]
        known = (sqlite_calls._ADMIT_KNOWN, sqlite_calls._MOVE_KNOWN)
        plan = " ".join(
            [str(row) for statement in named for row in db.execute(f"EXPLAIN {statement}", values)]
            + [str(row) for each in known for row in db.execute(f"EXPLAIN {each}", [1] * each.count("?"))]
        )
        ending = " ".join(str(row) for row in db.execute(f"EXPLAIN {sqlite._END}", dict.fromkeys(ENDING, 1)))
    db.close()
    assert ("Program" in plan, "Program" in ending) == (False, True)


async def test_a_path_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="file"):
        await SqliteStore(tmp_path / "file" / "sessions.db").open()


async def test_a_path_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot open"):
        await SqliteStore(tmp_path).open()


async def test_a_closed_store_says_so(store: SessionStore) -> None:
    await store.close()
    with pytest.raises(RuntimeError, match="not open"):
        await store.get("sess_x")


async def test_values_with_quotes_and_nul_do_no_harm(store: SessionStore) -> None:
    session = await added(store, owner="'; DROP TABLE sessions; --", worker_id="a\0b")
    assert await store.get(session.id) == session
    assert await store.get("' OR '1'='1") is None


async def test_two_gateways_that_race_admission_and_expiry_agree_on_every_session(
    store: SessionStore, path: Path
) -> None:
    ids = [(await added(store)).id for _ in range(RACES)]
    together = threading.Barrier(2, timeout=10)

    def race(step: Callable[[SessionStore, str], Awaitable[Session | None]]) -> list[tuple[SessionStatus, int]]:
        async def run() -> list[tuple[SessionStatus, int]]:
            own = GuardedStore(SqliteStore(path), SystemClock())  # which waits while the other one writes
            await own.open()
            seen = []
            for id in ids:
                together.wait()
                session = await step(own, id)
                assert session is not None
                seen.append((session.status, session.call_count))
            await own.close()
            return seen

        return asyncio.run(run())

    by_admission, by_expiry = await asyncio.gather(
        asyncio.to_thread(race, lambda own, id: own.admit(id, at(TIMEOUT - 0.001), START + 1000)),
        asyncio.to_thread(race, lambda own, id: own.expire_if_due(id, at(TIMEOUT))),
    )
    # Admitted and alive, or expired and never counted: both gateways see the same one of the two.
    assert by_admission == by_expiry
    assert set(by_admission) <= {(SessionStatus.ACTIVE, 1), (SessionStatus.EXPIRED, 0)}
    for id, outcome in zip(ids, by_admission, strict=True):
        final = await store.get(id)
        assert final is not None
        assert (final.status, final.call_count) == outcome


async def test_nobody_but_its_user_can_read_a_new_store_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = SqliteStore(tmp_path / "sessions.db")
        await store.open()
        await added(store)
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(tmp_path)}
        await store.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("sessions.db", "sessions.db-wal", "sessions.db-shm"), 384)
