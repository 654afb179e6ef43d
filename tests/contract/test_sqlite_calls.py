"""How the SQLite store writes calls: those of one turn together, ends a moment later, and what becomes of both when
another process writes too, or none comes to it.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model import EndReason, Session, SessionStatus
from gateway.stores.base import StoreFailure, StoreProblem
from gateway.stores.sqlite import SqliteStore
from gateway.testing.store_harness import START, TIMEOUT, WALL, added, at
from gateway.testing.waiting import until
from gateway.timing import STORE_END_SLIDE

SHORT, LONG = 0.01, 1.0
"""Seconds: of a call whose end may be written later, and of one whose end is written at once."""


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """The store of one process of several."""
    store = SqliteStore(path, shared=True)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def other(store: SqliteStore, path: Path) -> AsyncIterator[SqliteStore]:
    """That of another one on the same file."""
    other = SqliteStore(path, shared=True)
    await other.open()
    yield other
    await other.close()


def statements(store: SqliteStore) -> list[str]:
    """Return the list to which every statement is added from now on."""
    ran: list[str] = []
    store._db._connection.set_trace_callback(ran.append)
    return ran


async def called(store: SqliteStore, duration: float = SHORT) -> Session:
    """Return a session after a call that began at the start."""
    session = await added(store)
    await store.admit(session.id, at(0), START + 15)
    finished = await store.finish(session.id, at(duration), started=True)
    assert finished is not None
    return finished


def lock(path: Path) -> sqlite3.Connection:
    """Lock the file against writing until the connection is closed."""
    locking = sqlite3.connect(path, isolation_level=None)
    locking.execute("BEGIN IMMEDIATE")
    return locking


async def test_operations_of_one_turn_share_a_transaction_once_there_are_many(store: SqliteStore) -> None:
    sessions = [await added(store) for _ in range(10)]
    for _ in range(2):  # the first operation of all does not know that it has company
        ran = statements(store)
        await asyncio.gather(*(store.admit(session.id, at(0), START + 15) for session in sessions))
    assert [ran.count("BEGIN IMMEDIATE"), ran.count("COMMIT"), len(ran)] == [1, 1, 12]


async def test_an_operation_alone_runs_at_once(store: SqliteStore) -> None:
    session = await added(store)
    for _ in range(3):
        admission = store.admit(session.id, at(0), START + 15)
        with pytest.raises(StopIteration):
            admission.send(None)
        await asyncio.sleep(0)


async def test_calls_in_turn_cost_one_statement_each_and_no_second_transaction(store: SqliteStore) -> None:
    session = await called(store)
    await asyncio.sleep(0)
    ran = statements(store)
    for turn in range(1, 4):
        await store.admit(session.id, at(turn / 10), START + 15)
        await store.finish(session.id, at(turn / 10 + SHORT), started=True)
        await asyncio.sleep(0)
    assert [each.split(" ")[0] for each in ran] == ["UPDATE"] * 3


async def test_when_a_shared_transaction_fails_every_operation_hears_of_it_and_nothing_is_changed(
    store: SqliteStore, path: Path
) -> None:
    sessions = [await called(store) for _ in range(5)]
    await asyncio.gather(*(store.admit(session.id, at(1), START + 15) for session in sessions))
    before = [await store.finish(session.id, at(1 + SHORT), started=True) for session in sessions]
    locking = lock(path)
    outcomes = await asyncio.gather(
        *(store.admit(session.id, at(2), START + 15) for session in sessions), return_exceptions=True
    )
    assert [isinstance(each, StoreFailure) and each.problem for each in outcomes] == [StoreProblem.BUSY] * 5
    locking.close()
    assert [await store.get(session.id) for session in sessions] == before
    admitted = await asyncio.gather(*(store.admit(session.id, at(3), START + 15) for session in sessions))
    assert [each.call_count for each in admitted if each] == [3] * 5


async def test_an_end_that_was_to_be_written_by_a_transaction_that_failed_half_way_is_not_lost(
    store: SqliteStore, path: Path
) -> None:
    session, poisoned = await called(store), await called(store)
    with sqlite3.connect(path) as editor:
        fail = f"BEFORE UPDATE ON sessions WHEN NEW.id = '{poisoned.id}' BEGIN SELECT raise(ROLLBACK, 'as asked'); END"
        editor.execute(f"CREATE TRIGGER poison {fail}")
    admissions = (store.admit(id, at(1), START + 15) for id in (session.id, session.id, poisoned.id))
    outcomes = await asyncio.gather(*admissions, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 3
    editor.execute("DROP TRIGGER poison")
    editor.close()
    assert await store.get(poisoned.id) == poisoned
    admitted = await store.admit(session.id, at(1), START + 15)
    assert admitted is not None
    assert (admitted.call_count, admitted.in_flight) == (2, 1)


async def test_an_operation_is_not_overtaken_by_one_that_came_later(store: SqliteStore) -> None:
    session = await added(store)
    returned: list[int] = []

    async def admit() -> None:
        admitted = await store.admit(session.id, at(0), START + 15)
        assert admitted is not None
        returned.append(admitted.call_count)

    calls = [asyncio.ensure_future(admit()) for _ in range(3)]
    for count in range(10):  # one in each turn, now and then none
        await asyncio.sleep(0)
        if count % 3:
            calls.append(asyncio.ensure_future(admit()))
    await asyncio.gather(*calls)
    assert returned == sorted(returned)
    assert len(returned) == len(calls)


async def test_what_is_wrong_with_one_operation_does_not_concern_the_others_of_its_turn(store: SqliteStore) -> None:
    session = await added(store)
    ids = [session.id, "\udc80", session.id]
    for count in (2, 4):
        first, wrong, last = await asyncio.gather(
            *(store.admit(id, at(0), START + 15) for id in ids), return_exceptions=True
        )
        assert isinstance(wrong, UnicodeEncodeError)
        assert isinstance(first, Session)
        assert isinstance(last, Session)
        assert last.call_count == count


async def test_who_is_cancelled_when_it_has_happened_learns_so_first(store: SqliteStore) -> None:
    session = await added(store)
    await asyncio.gather(*(store.admit(session.id, at(0), START + 15) for _ in range(2)))
    admitted: list[Session | None] = []

    async def call() -> None:
        admitted.append(await store.admit(session.id, at(0), START + 15))
        await asyncio.Event().wait()  # for good

    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(task.cancel)  # behind the transaction, ahead of the task
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each and each.call_count for each in admitted] == [3]
    assert task.cancelling() == 1


async def test_the_end_of_a_short_call_is_on_record_a_moment_later_although_nobody_asks(
    store: SqliteStore, other: SqliteStore
) -> None:
    session = await called(store)
    before = await other.get(session.id)
    assert before is not None
    assert (before.in_flight, before.call_count) == (1, 1)
    await until(lambda: not store._calls.unwritten)
    assert await other.get(session.id) == session


async def test_the_end_of_a_long_call_is_on_record_at_once(store: SqliteStore, other: SqliteStore) -> None:
    session = await called(store, LONG)
    assert await other.get(session.id) == session


async def test_the_end_of_a_call_that_was_not_started_is_on_record_at_once(
    store: SqliteStore, other: SqliteStore
) -> None:
    session = await added(store)
    await store.admit(session.id, at(0), START + 15)
    finished = await store.finish(session.id, at(SHORT), started=False)
    assert finished is not None
    assert await other.get(session.id) == replace(finished, call_count=0)


@pytest.mark.parametrize("hold", [0, 15, 2 * TIMEOUT])
async def test_a_session_whose_end_of_a_call_was_lost_never_expires_earlier_than_was_told(
    store: SqliteStore, other: SqliteStore, hold: float
) -> None:
    session = await added(store)
    for elapsed in (0, STORE_END_SLIDE / 3, STORE_END_SLIDE / 2):  # each end moves the window a little further
        await store.admit(session.id, at(elapsed), START + hold)
        told = await store.finish(session.id, at(elapsed + STORE_END_SLIDE / 3), started=True)
    assert told is not None
    store._cancel_ends()  # as a process does that is killed
    assert await other.due(at(told.deadline - START - 0.0001), 10) == []
    still = await other.expire_if_due(session.id, at(told.deadline - START - 0.0001))
    assert still is not None
    assert still.status is SessionStatus.ACTIVE
    assert await other.due(at(TIMEOUT + max(hold, 2 * STORE_END_SLIDE)), 10) == [session.id]


async def test_ends_that_could_not_be_written_are_written_when_the_lock_is_gone(
    store: SqliteStore, other: SqliteStore, path: Path
) -> None:
    session = await called(store)
    locking = lock(path)
    await until(lambda: store._ends is not None and store._ends.when() > asyncio.get_running_loop().time() + 0.05)
    with pytest.raises(StoreFailure):
        await store.get(session.id)
    locking.close()
    await until(lambda: not store._calls.unwritten)
    assert await other.get(session.id) == session


async def test_a_close_leaves_nothing_unwritten(store: SqliteStore, other: SqliteStore) -> None:
    session = await called(store)
    await store.close()
    assert await other.get(session.id) == session


async def test_a_close_that_cannot_write_says_so_and_closes(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await called(store)
    locking = lock(path)
    await store.close()
    await store.close()
    locking.close()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["the ends of 1 calls are not on record"]


async def test_what_was_restored_is_not_overwritten_by_an_end_from_before(store: SqliteStore) -> None:
    session = await called(store)
    restored = replace(session, deadline=session.deadline + 100, in_flight=2)
    await store.restore([restored], START + 500)
    store._write_ends()
    assert await store.get(session.id) == restored


async def test_recovering_writes_nothing_until_it_is_over_and_loses_no_end(
    store: SqliteStore, other: SqliteStore
) -> None:
    session = await called(store)
    await store.recover(StoreFailure(StoreProblem.BUSY, "as asked"))
    await until(lambda: not store._calls.unwritten)
    assert await other.get(session.id) == session


CHANGES: dict[str, Callable[[SqliteStore, str], object]] = {
    "ended": lambda other, id: other.end(id, EndReason.CALLER, at(2)),
    "renewed": lambda other, id: other.renew(id, at(2)),
    "called": lambda other, id: other.admit(id, at(2), START + 15),
    "adopted": lambda other, id: other.adopt(id, in_flight=5, call_count=7, hold_until=START + 15),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("operation", ["admit", "renew", "finish", "finish later"])
async def test_what_another_process_has_changed_is_noticed(
    store: SqliteStore, other: SqliteStore, operation: str, change: str
) -> None:
    session = await called(store, LONG)
    assert await store.get(session.id) == session
    if operation.startswith("finish"):
        await store.admit(session.id, at(1.5), START + 15)
    changed = await CHANGES[change](other, session.id)  # type: ignore[misc]
    assert isinstance(changed, Session)
    if operation == "admit":
        now = await store.admit(session.id, at(3), START + 15)
        expected = replace(
            changed, call_count=changed.call_count + 1, in_flight=changed.in_flight + 1, last_call_at=WALL + 3
        )
    elif operation == "renew":
        now, expected = await store.renew(session.id, at(3)), changed
    else:
        moment = 3 if operation == "finish" else 1.5 + SHORT
        await store.finish(session.id, at(moment), started=True)
        now, expected = await store.get(session.id), replace(changed, in_flight=changed.in_flight - 1)
    assert now is not None
    if changed.status is not SessionStatus.ACTIVE:
        assert (now.status, now.deadline, now.call_count) == (changed.status, changed.deadline, changed.call_count)
    else:
        assert replace(now, deadline=0, expires_at=0) == replace(expected, deadline=0, expires_at=0)
        assert now.deadline >= changed.deadline


@pytest.mark.parametrize("column", ["worker_id = 'wrk_2'", "epoch = 2", "call_count = 9", "status = 'ended'"])
async def test_a_record_that_somebody_has_edited_is_noticed(store: SqliteStore, path: Path, column: str) -> None:
    session = await called(store, LONG)
    with sqlite3.connect(path) as editor:
        editor.execute(f"UPDATE sessions SET {column} WHERE id = ?", (session.id,))
    editor.close()
    now = await store.admit(session.id, at(2), START + 15)
    assert now == await store.get(session.id)
    assert now is not None
    assert (now.worker_id, now.epoch, now.call_count, now.status.value) != ("wrk_1", 1, 2, "active")


async def test_a_record_that_was_deleted_is_none_for_a_call_that_is_unwritten_too(
    store: SqliteStore, path: Path
) -> None:
    session = await called(store)
    with sqlite3.connect(path) as editor:
        editor.execute("DELETE FROM sessions")
    editor.close()
    assert await store.get(session.id) is None
    assert await store.admit(session.id, at(2), START + 15) is None


async def test_nothing_is_kept_of_sessions_that_are_over(store: SqliteStore, other: SqliteStore) -> None:
    ended, expired, elsewhere = [await called(store) for _ in range(3)]
    await store.end(ended.id, EndReason.CALLER, at(1))
    await store.expire_if_due(expired.id, at(100))
    store._write_all()
    await other.end(elsewhere.id, EndReason.CALLER, at(1))
    await store.expire_if_due(elsewhere.id, at(100))
    assert not store._calls._known
    assert not store._calls.unwritten
