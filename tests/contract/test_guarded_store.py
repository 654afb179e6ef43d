"""The guard around a store: how long it tries, what it tells, and what comes first when the store is back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import RunState, StoreUnavailable
from gateway.stores.base import SessionStore, StoreFailure
from gateway.stores.guarded import GuardedStore
from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock
from gateway.testing.store_harness import a_session, added, at
from gateway.testing.waiting import until
from gateway.timing import STORE_BUSY_PATIENCE, STORE_PROBE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(path: Path, clock: FakeClock) -> AsyncIterator[GuardedStore]:
    store = GuardedStore(SqliteStore(path), clock)
    await store.open()
    yield store
    await store.close()


def lock(path: Path) -> sqlite3.Connection:
    """Lock the file against writing until the connection is closed."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


class Traced(SqliteStore):
    """Counts how often it was tried to bring it back."""

    attempts = 0

    async def recover(self, failure: StoreFailure) -> None:
        try:
            await super().recover(failure)
        finally:
            self.attempts += 1


async def test_a_lock_that_is_gone_in_time_is_not_seen_by_anyone(
    store: GuardedStore, clock: FakeClock, path: Path
) -> None:
    session = await added(store)
    other = lock(path)
    renewal = asyncio.ensure_future(store.renew(session.id, at(1)))
    await clock.advance(STORE_BUSY_PATIENCE / 2)
    assert not renewal.done()
    assert store.available
    other.close()
    await clock.advance(STORE_BUSY_PATIENCE / 2)
    renewed = await renewal
    assert renewed is not None
    assert renewed.deadline == session.deadline + 1


async def test_a_lock_that_lasts_is_told_after_the_patience_and_then_at_once(
    store: GuardedStore, clock: FakeClock, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = await added(store)
    told: list[bool] = []
    store.on_change = lambda: told.append(store.available)
    with closing(lock(path)):
        renewal = asyncio.ensure_future(store.renew(session.id, at(1)))
        await clock.advance(STORE_BUSY_PATIENCE - 0.01)
        assert not renewal.done()
        await clock.advance(0.2)
        with pytest.raises(StoreUnavailable) as caught:
            await renewal
        assert caught.value.run_state is RunState.NOT_STARTED
        assert caught.value.retry_after is not None
        assert not store.available
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                await store.get(session.id)
    await clock.advance(STORE_PROBE)
    await until(lambda: store.available)
    assert told == [False, True]
    assert await store.get(session.id) == session
    # Once for each change, and not for each call.
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_what_happened_meanwhile_is_on_record_before_anyone_may_use_the_store_again(
    store: GuardedStore, clock: FakeClock, path: Path
) -> None:
    session, missed = await added(store), a_session()
    steps: list[object] = []

    async def catch_up(inside: SessionStore, outage: float) -> None:
        steps.append((store.available, outage >= STORE_BUSY_PATIENCE))
        with pytest.raises(StoreUnavailable):
            await store.get(session.id)
        await inside.restore([missed], 0.0)

    store.catch_up = catch_up
    store.on_change = lambda: steps.append(store.available)
    other = lock(path)
    task = asyncio.ensure_future(store.renew(session.id, at(1)))
    await clock.advance(STORE_BUSY_PATIENCE + 0.2)
    with pytest.raises(StoreUnavailable):
        await task
    other.close()
    await clock.advance(STORE_PROBE)
    await until(lambda: store.available)
    assert steps == [False, (False, True), True]
    assert await store.get(missed.id) == missed


async def test_while_the_store_stays_locked_it_is_tried_again_and_again(clock: FakeClock, path: Path) -> None:
    inside = Traced(path)
    store = GuardedStore(inside, clock)
    await store.open()
    session = await added(store)
    with closing(lock(path)):
        task = asyncio.ensure_future(store.renew(session.id, at(1)))
        await clock.advance(STORE_BUSY_PATIENCE + 0.2)
        with pytest.raises(StoreUnavailable):
            await task
        for _ in range(3):
            before = inside.attempts
            await clock.advance(STORE_PROBE)
            await until(lambda: inside.attempts > before and store._pauses)  # noqa: B023  # called in this very turn
            assert not store.available
    await clock.advance(STORE_PROBE)
    await until(lambda: store.available)
    await store.close()


async def test_a_close_tries_a_last_time(clock: FakeClock, path: Path) -> None:
    store = GuardedStore(SqliteStore(path), clock)
    await store.open()
    session, missed = await added(store), a_session()

    async def catch_up(inside: SessionStore, _: float) -> None:
        await inside.restore([missed], 0.0)

    store.catch_up = catch_up
    other = lock(path)
    task = asyncio.ensure_future(store.renew(session.id, at(1)))
    await clock.advance(STORE_BUSY_PATIENCE + 0.2)
    with pytest.raises(StoreUnavailable):
        await task
    other.close()
    await store.close()
    after = SqliteStore(path)
    await after.open()
    assert await after.get(missed.id) == missed
    await after.close()


async def test_a_store_that_stays_locked_does_not_hold_up_the_close(
    clock: FakeClock, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = GuardedStore(SqliteStore(path), clock)
    await store.open()
    session = await added(store)
    with closing(lock(path)):
        task = asyncio.ensure_future(store.renew(session.id, at(1)))
        await clock.advance(STORE_BUSY_PATIENCE + 0.2)
        with pytest.raises(StoreUnavailable):
            await task
        await store.close()
    assert "not on record" in caplog.text
