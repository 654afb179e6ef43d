"""How the store of a gateway of one process puts calls on record: at the end of the loop's turn in which they begin."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model import Session, SessionStatus
from gateway.stores.base import StoreFailure, StoreProblem
from gateway.stores.sqlite import SqliteStore
from gateway.testing.store_harness import START, TIMEOUT, WALL, added, at
from gateway.testing.waiting import until

SHORT = 0.01
"""Seconds of a call whose end may be written later."""


@pytest.fixture
def record(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection to the file: what it sees is on record."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def on_record(record: sqlite3.Connection, session: Session) -> tuple[int, int, float]:
    """Return the calls of a session, those in flight, and its deadline."""
    row = record.execute("SELECT call_count, in_flight, deadline FROM sessions WHERE id = ?", (session.id,)).fetchone()
    return int(row[0]), int(row[1]), float(row[2])


def statements(store: SqliteStore) -> list[str]:
    """Return the list to which the first word of every statement is added from now on."""
    ran: list[str] = []
    store._db._connection.set_trace_callback(lambda text: ran.append(text.split(" ")[0]))
    return ran


async def test_a_call_begins_before_it_is_on_record_and_is_there_when_the_turn_is_over(
    store: SqliteStore, record: sqlite3.Connection
) -> None:
    session = await added(store)
    admission = store.admit(session.id, at(1), START + 15)
    with pytest.raises(StopIteration) as returned:
        admission.send(None)
    assert (returned.value.value.call_count, returned.value.value.in_flight) == (1, 1)
    assert on_record(record, session) == (0, 0, START + TIMEOUT)
    told: list[tuple[int, int, float]] = []
    # As an answer would be: of whatever comes with the next turn, nothing is ahead of the record.
    asyncio.get_running_loop().call_soon(lambda: told.append(on_record(record, session)))
    await asyncio.sleep(0)
    assert told == [(1, 1, START + 1 + TIMEOUT)]


async def test_one_call_in_a_turn_is_one_statement_with_the_end_of_the_call_before(store: SqliteStore) -> None:
    session = await added(store)
    ran = statements(store)
    for turn in range(3):
        await store.admit(session.id, at(turn / 10), START + 15)
        await asyncio.sleep(0)
        await store.finish(session.id, at(turn / 10 + SHORT), started=True)
    assert ran == ["UPDATE"] * 3


async def test_the_calls_of_a_turn_share_a_transaction(store: SqliteStore) -> None:
    sessions = [await added(store) for _ in range(10)]
    ran = statements(store)
    await asyncio.gather(*(store.admit(session.id, at(0), START + 15) for session in sessions))
    await asyncio.sleep(0)
    assert ran == ["BEGIN", *["UPDATE"] * 10, "COMMIT"]


async def test_everything_else_sees_a_call_that_is_not_yet_on_record(store: SqliteStore) -> None:
    session = await added(store)
    admitted = await store.admit(session.id, at(1), START + 15)
    assert await store.get(session.id) == admitted
    for due in (0.0, TIMEOUT + 0.5):
        await store.admit(session.id, at(2), START + 2 * TIMEOUT)
        assert await store.due(at(due), 10) == []
    await store.admit(session.id, at(3), START + 15)
    await store.hold([session.id], START + 500)
    assert await store.due(at(499), 10) == []


async def test_calls_that_could_not_be_put_on_record_are_not_lost_and_no_other_begins(
    store: SqliteStore, record: sqlite3.Connection
) -> None:
    session, other = await added(store), await added(store)
    record.execute("BEGIN IMMEDIATE")
    first = await store.admit(session.id, at(SHORT), START + 15)
    assert first is not None
    await asyncio.sleep(0)
    for refused in (session, other):
        with pytest.raises(StoreFailure) as caught:
            await store.admit(refused.id, at(2), START + 15)
        assert caught.value.problem is StoreProblem.BUSY
    finished = await store.finish(session.id, at(2 * SHORT), started=True)
    assert finished is not None
    assert finished == replace(first, in_flight=0, deadline=finished.deadline, expires_at=finished.expires_at)
    record.execute("ROLLBACK")
    await until(lambda: on_record(record, session)[:2] == (1, 0))
    again = await store.admit(session.id, at(3), START + 15)
    assert again is not None
    assert (again.call_count, again.in_flight) == (2, 1)
    assert await store.get(other.id) == other


async def test_what_somebody_has_edited_meanwhile_counts_the_call_as_well(
    store: SqliteStore, record: sqlite3.Connection
) -> None:
    session = await added(store)
    await store.admit(session.id, at(1), START + 15)
    record.execute("UPDATE sessions SET call_count = 7, in_flight = 2, epoch = 3 WHERE id = ?", (session.id,))
    now = await store.get(session.id)
    assert now is not None
    assert (now.call_count, now.in_flight, now.epoch, now.last_call_at) == (8, 3, 3, WALL + 1)
    assert now.deadline == START + 1 + TIMEOUT


async def test_a_session_that_somebody_has_ended_meanwhile_stays_as_it_is(
    store: SqliteStore, record: sqlite3.Connection
) -> None:
    session = await added(store)
    await store.admit(session.id, at(1), START + 15)
    ending = "UPDATE sessions SET status = 'ended', end_reason = 'caller', ended_at = ? WHERE id = ?"
    record.execute(ending, (WALL, session.id))
    await asyncio.sleep(0)
    now = await store.admit(session.id, at(2), START + 15)
    assert now is not None
    assert (now.status, now.call_count, now.deadline) == (SessionStatus.ENDED, 0, session.deadline)


async def test_a_close_puts_everything_on_record(store: SqliteStore, record: sqlite3.Connection) -> None:
    session = await added(store)
    await store.admit(session.id, at(1), START + 15)
    await store.close()
    assert on_record(record, session) == (1, 1, START + 1 + TIMEOUT)
