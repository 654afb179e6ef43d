"""Files of the SQLite store that are damaged, deleted, replaced or locked: real bytes, real files, no doubles."""

import os
import random
import re
import resource
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model import EndReason, Session
from gateway.stores.base import SessionStore, StoreFailure, StoreProblem, StoreUnusable
from gateway.stores.sqlite import SqliteStore
from gateway.stores.sqlite_files import SIDECARS, beside
from gateway.testing.store_harness import ABSENT, ANY, START, WALL, a_session, added, at, walk

PAGE = 4096
MANY = 600
LARGE = 4000


async def filled(store: SessionStore, count: int = MANY, padding: int = 0) -> list[Session]:
    """Put sessions on record, every other one finished."""
    owners = [f"owner {number}{'.' * padding}" for number in range(count)]
    sessions = [a_session(owner=owner, call_count=number) for number, owner in enumerate(owners)]
    await store.restore(sessions, 0.0)
    for session in sessions[::2]:
        await store.end(session.id, EndReason.CALLER, at(1))
    found = [await store.get(session.id) for session in sessions]
    return [session for session in found if session is not None]


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def aside(path: Path, label: str) -> list[Path]:
    """Return the files that were set aside under a label, without their sidecars."""
    return [found for found in path.parent.glob(f"{path.name}.{label}-*") if not found.name.endswith(SIDECARS)]


def leaf_page(path: Path, session_id: str) -> int:
    """Return the offset of the page that has the record of a session, and not only its id."""
    content = path.read_bytes()
    # In the record of an event a mark of hexadecimal digits comes before the id, in that of a session the header.
    record = re.compile(rb"(?<![0-9a-f]{16})" + session_id.encode())
    for offset in range(0, len(content), PAGE):
        if content[offset] == 13 and record.search(content, offset, offset + PAGE):
            return offset
    raise AssertionError("the session is on no leaf of a table")


def written(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()


def crashed(path: Path, to: Path) -> Path:
    """Copy the files as a crash would leave them, and return the copy's path."""
    to.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(beside(path, suffix), to / (path.name + suffix))
    return to / path.name


async def test_around_a_damaged_page_every_other_record_is_salvaged_at_the_start(
    store: SqliteStore, path: Path
) -> None:
    sessions = await filled(store)
    await store.close()
    overwrite(path, leaf_page(path, sessions[300].id), noise(PAGE))
    await store.open()
    found = {session.id: await store.get(session.id) for session in sessions}
    lost = [session for session in sessions if found[session.id] is None]
    assert sessions[300] in lost
    # The records of one page and no others.
    assert lost == sessions[sessions.index(lost[0]) :][: len(lost)]
    assert len(lost) < PAGE / 64
    assert all(found[session.id] == session for session in sessions if session not in lost)
    (kept,) = aside(path, "corrupt")
    assert noise(PAGE) in content_of(kept)
    # What the pages showed before is in the same order, and what comes now is the newest.
    assert (await walk(store, ANY, 100))[0] == sessions[-1].id
    younger = await added(store)
    assert (await walk(store, ANY, 100))[0] == younger.id


@pytest.mark.parametrize("size", [16, 100, PAGE])
async def test_records_are_salvaged_without_the_first_page(store: SqliteStore, path: Path, size: int) -> None:
    sessions = await filled(store)
    await store.close()
    overwrite(path, 0, noise(size))
    await store.open()
    assert [await store.get(session.id) for session in sessions] == sessions
    assert len(aside(path, "corrupt")) == 1


async def test_records_that_only_the_log_has_are_salvaged_too(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    sessions = await filled(store, 50)
    copy = crashed(path, tmp_path / "copy")
    overwrite(copy, 0, noise(PAGE))
    again = SqliteStore(copy)
    await again.open()
    assert [await again.get(session.id) for session in sessions] == sessions
    await again.close()


@pytest.mark.parametrize("content", [b"not a database at all " * 400, b"SQLite format 3\0 and then nonsense" * 400])
async def test_a_file_that_cannot_be_read_at_all_is_set_aside_unchanged_and_the_start_goes_on(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    written(path, content)
    store = SqliteStore(path)
    await store.open()
    session = await added(store)
    assert await walk(store, ANY, 10) == [session.id]
    (kept,) = aside(path, "corrupt")
    assert content_of(kept) == content
    (report,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert str(path) in report.getMessage()
    assert kept.name in report.getMessage()
    await store.close()


async def test_damage_that_is_met_by_a_running_store_is_a_failure_from_which_it_recovers(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    sessions = await filled(store, LARGE, padding=1000)  # more than the page cache holds: pages are read again
    await store.close()
    await store.open()
    overwrite(path, leaf_page(path, sessions[LARGE // 2].id), noise(PAGE))
    with pytest.raises(StoreFailure) as caught:
        await walk(store, ANY, 1000)
    assert caught.value.problem is StoreProblem.DAMAGED
    await store.recover(caught.value)
    found = await walk(store, ANY, 1000)
    assert LARGE - 5 < len(found) < LARGE
    assert await store.get(sessions[LARGE // 2].id) is None
    assert await store.get(sessions[LARGE // 3].id) == sessions[LARGE // 3]
    assert len(aside(path, "corrupt")) == 1
    await store.close()
    await store.open()
    assert await walk(store, ANY, 1000) == found


async def test_rows_that_cannot_be_what_was_written_are_left_out(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store, 40)
    await store.close()
    page = leaf_page(path, sessions[20].id)
    content = content_of(path)
    at_status = content.index(b"wrk_1", content.index(sessions[20].id.encode(), page)) - 3
    overwrite(path, at_status, b"\xff\xfe")  # no text in UTF-8 any more
    overwrite(path, len(content) - PAGE, noise(PAGE))
    await store.open()
    assert await store.get(sessions[0].id) == sessions[0]
    for id in await walk(store, ANY, 7):
        assert await store.get(id) is not None
    await store.close()


@pytest.mark.parametrize("missing", [("",), ("-wal",), ("-shm",), ("-wal", "-shm"), ("", "-wal", "-shm")])
async def test_files_that_were_deleted_are_noticed_and_written_back_with_all_that_was_in_them(
    store: SqliteStore, path: Path, missing: tuple[str, ...], tmp_path: Path
) -> None:
    sessions = await filled(store, 50)
    remove(beside(path, suffix) for suffix in missing)
    with pytest.raises(StoreFailure) as caught:
        await store.inspect()
    assert caught.value.problem is StoreProblem.GONE
    await store.recover(caught.value)
    await store.inspect()
    later = await added(store)
    # What a gateway finds that comes after a crash.
    again = SqliteStore(crashed(path, tmp_path / "copy"))
    await again.open()
    assert [await again.get(session.id) for session in sessions] == sessions
    assert (await walk(again, ANY, 100))[0] == later.id
    await again.close()
    assert not aside(path, "replaced")


async def test_a_directory_that_was_deleted_is_made_again(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store, 50)
    shutil.rmtree(path.parent)
    with pytest.raises(StoreFailure) as caught:
        await store.inspect()
    await store.recover(caught.value)
    assert mode_of(path.parent) == 0o700
    await store.close()
    await store.open()
    assert [await store.get(session.id) for session in sessions] == sessions


async def test_a_file_that_was_put_in_the_place_is_kept_under_another_name(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store, 50)
    remove([path])
    written(path, b"somebody's backup")
    with pytest.raises(StoreFailure) as caught:
        await store.inspect()
    assert caught.value.problem is StoreProblem.GONE
    await store.recover(caught.value)
    assert [await store.get(session.id) for session in sessions] == sessions
    (kept,) = aside(path, "replaced")
    assert content_of(kept) == b"somebody's backup"


async def test_a_file_that_was_cut_short_is_built_anew_from_what_can_be_read(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store, 50)
    await store.close()
    await store.open()
    assert [await store.get(session.id) for session in sessions] == sessions
    os.truncate(path, 0)
    with pytest.raises(StoreFailure) as caught:
        await store.inspect()
    await store.recover(caught.value)
    assert [await store.get(session.id) for session in sessions] == sessions  # from the cache of the connection
    assert len(content_of(path)) > PAGE


async def test_a_vacuum_by_somebody_else_loses_nothing(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store)
    await store.purge(WALL + 100)
    other = sqlite3.connect(path)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await store.inspect()
    other.execute("VACUUM")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    with pytest.raises(StoreFailure, match="cut short") as caught:
        await store.inspect()
    await store.recover(caught.value)
    assert await walk(store, ANY, 1000) == [session.id for session in sessions[::-1] if session.call_count % 2]


async def test_a_recovery_that_was_broken_off_before_its_last_step_does_no_harm(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store, 50)
    await store.close()
    written(beside(path, ".new"), b"half a file")
    written(beside(path, ".new-journal"), b"half a journal")
    await store.open()
    assert [await store.get(session.id) for session in sessions] == sessions
    assert not list(path.parent.glob("*.new*"))


async def test_a_recovery_for_which_there_is_no_room_is_tried_again_and_loses_nothing(
    store: SqliteStore, path: Path
) -> None:
    sessions = await filled(store)
    for failure in (StoreFailure(StoreProblem.DAMAGED, "so they say"), StoreFailure(StoreProblem.GONE, "it seems")):
        if failure.problem is StoreProblem.GONE:
            remove([path])
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PAGE, limits[1]))
        try:
            with pytest.raises(StoreFailure):
                await store.recover(failure)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await store.recover(failure)
        assert [await store.get(session.id) for session in sessions] == sessions


async def test_a_locked_store_is_busy_at_once_and_reads_go_on(store: SqliteStore, path: Path) -> None:
    session = await added(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for operation in (
        store.renew(session.id, at(1)),
        store.restore([replace(session, call_count=8)], 0.0),
        store.hold([session.id], START + 10),
        store.purge(WALL),
        store.create(a_session()),
    ):
        with pytest.raises(StoreFailure) as caught:
            await operation
        assert caught.value.problem is StoreProblem.BUSY
        with pytest.raises(StoreFailure):
            await store.recover(caught.value)
    assert await store.get(session.id) == session
    other.close()
    await store.recover(caught.value)
    admitted = await store.admit(session.id, at(1), START + 10)
    assert admitted is not None
    assert admitted.call_count == 1


async def test_a_full_store_fails_until_there_is_room_and_then_has_all_that_it_had(
    store: SqliteStore, path: Path
) -> None:
    sessions = await filled(store, 100)
    db = store._db._connection
    db.execute("PRAGMA max_page_count = 1")  # becomes the present size: SQLite itself finds no room
    with pytest.raises(StoreFailure) as caught:
        await filled(store, 100)
    assert caught.value.problem is StoreProblem.FULL
    with pytest.raises(StoreFailure) as again:
        await store.recover(caught.value)
    assert again.value.problem is StoreProblem.FULL
    assert [await store.get(session.id) for session in sessions] == sessions
    db.execute("PRAGMA max_page_count = 4294967294")
    await store.recover(caught.value)
    assert len(await walk(store, ANY, 100)) == 100
    assert await store.get(ABSENT) is None


@pytest.mark.parametrize("sql", ["DROP TABLE sessions", "ALTER TABLE sessions RENAME TO other"])
async def test_a_table_that_somebody_has_dropped_is_made_again(store: SqliteStore, path: Path, sql: str) -> None:
    await added(store)
    other = sqlite3.connect(path)
    other.execute(sql)
    other.close()
    with pytest.raises(StoreFailure) as caught:
        await store.get(ABSENT)
    await store.recover(caught.value)
    session = await added(store)
    assert await store.get(session.id) == session


async def test_a_store_that_somebody_holds_locked_at_the_start_is_refused_and_left_alone(path: Path) -> None:
    written(path, b"")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE sessions (id)")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnusable, match="locked"):
        await SqliteStore(path).open()
    other.close()
    assert not aside(path, "corrupt")


async def test_records_are_found_on_a_page_whose_own_account_of_them_is_lost(store: SqliteStore, path: Path) -> None:
    sessions = await filled(store)
    await store.close()
    overwrite(path, leaf_page(path, sessions[300].id), noise(64))  # the header, and where the first rows are
    await store.open()
    assert [await store.get(session.id) for session in sessions] == sessions
