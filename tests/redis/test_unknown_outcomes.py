"""Replies that never come: whether it has happened is unknown then, and a failure says that it has not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import WorkerExit
from gateway.model import EndReason, Session
from gateway.stores.base import StoreFailure, StoreProblem
from gateway.stores.redis import RedisStore
from gateway.stores.redis_connection import Connection
from gateway.testing.store_harness import ANY, START, TIMEOUT, WALL, a_session, added, at, walk
from tests.redis.proxy import Proxy

Change = Callable[[RedisStore, Session], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "create": lambda store, session: store.create(a_session(owner=session.owner), START + 15, 10),
    "admit": lambda store, session: store.admit(session.id, at(2), START + 15),
    "admit that expires": lambda store, session: store.admit(session.id, at(TIMEOUT + 20), START + 15),
    "finish": lambda store, session: store.finish(session.id, at(10), started=True),
    "finish of one that was not started": lambda store, session: store.finish(session.id, at(2), started=False),
    "adopt": lambda store, session: store.adopt(session.id, in_flight=5, call_count=9, hold_until=START + 500),
    "hold": lambda store, session: store.hold([session.id], START + 500),
    "renew": lambda store, session: store.renew(session.id, at(2)),
    "end": lambda store, session: store.end(session.id, EndReason.WORKER_LOST, at(2), WorkerExit(signal=9), running=0),
    "expire_if_due": lambda store, session: store.expire_if_due(session.id, at(TIMEOUT + 20)),
    "expire_due": lambda store, session: store.expire_due([session.id], at(TIMEOUT + 20)),
    "renew_many": lambda store, session: store.renew_many([session.id], session.owner, at(2)),
    "restore": lambda store, session: store.restore(
        [replace(session, owner="another", call_count=7), a_session()], START + 9
    ),
}


async def everything(store: RedisStore, ids: Sequence[str], start: str) -> list[Any]:
    """Return all that a store says."""
    filters = [ANY, replace(ANY, owner="owner"), replace(ANY, owner="another")]
    return [
        [await store.get(id) for id in ids],
        [await walk(store, filter, 10) for filter in filters],
        [await store.due(at(elapsed), 10) for elapsed in (14, 60, 499, 1000)],
        [await store.count_active(owner, 10) for owner in ("owner", "another")],
        await store.events(ANY, start, 100),
        await store.events(replace(ANY, owner="owner"), start, 100),
        await store.position(),
    ]


async def known(store: RedisStore) -> tuple[Session, list[str], str]:
    """Return a session with a call in flight among others, the ids of all, and the cursor before them."""
    start = await store.position()
    ended, session, idle = await added(store), await added(store), await added(store)
    await store.end(ended.id, EndReason.CALLER, at(0))
    busy = await store.admit(session.id, at(0), START + 15)
    assert busy is not None
    return busy, [ended.id, busy.id, idle.id], start


@pytest.mark.parametrize("name", CHANGES)
async def test_what_has_happened_and_was_not_answered_is_taken_back(
    store: RedisStore, behind: RedisStore, proxy: Proxy, name: str
) -> None:
    session, ids, start = await known(behind)
    before = await everything(behind, ids, start)
    proxy.lose_replies = True
    with pytest.raises(StoreFailure) as caught:
        await CHANGES[name](behind, session)
    assert proxy.lost.is_set()
    assert caught.value.problem is StoreProblem.IO
    assert await everything(store, ids, start) != before or name == "hold"
    proxy.lose_replies = False
    await behind.recover(caught.value)
    assert await everything(store, ids, start) == before
    assert await everything(behind, ids, start) == before
    await CHANGES[name](behind, session)
    assert await everything(store, ids, start) != before


@pytest.mark.parametrize("name", CHANGES)
async def test_what_redis_gets_only_after_the_failure_was_told_does_not_happen(
    store: RedisStore, behind: RedisStore, proxy: Proxy, name: str
) -> None:
    session, ids, start = await known(behind)
    before = await everything(behind, ids, start)
    proxy.hold_requests = True
    change = asyncio.ensure_future(CHANGES[name](behind, session))
    await proxy.held.wait()
    with pytest.raises(StoreFailure):
        await change
    proxy.hold_requests = False
    await behind.recover(StoreFailure(StoreProblem.IO, "as told"))
    await proxy.deliver()
    assert await everything(store, ids, start) == before
    await CHANGES[name](behind, session)
    assert await everything(store, ids, start) != before


async def test_the_first_write_of_all_that_redis_gets_too_late_does_not_happen(
    store: RedisStore, behind: RedisStore, proxy: Proxy
) -> None:
    proxy.hold_requests = True
    late = a_session()
    with pytest.raises(StoreFailure):
        await behind.create(late)
    proxy.hold_requests = False
    await behind.recover(StoreFailure(StoreProblem.IO, "as told"))
    await proxy.deliver()
    assert await store.get(late.id) is None


async def test_of_operations_that_share_a_round_trip_all_are_taken_back_and_no_end_of_a_call_is_lost(
    behind: RedisStore, proxy: Proxy
) -> None:
    first, second = await added(behind), await added(behind)
    for session in (first, second):
        await behind.admit(session.id, at(0), START + 15)
    finished = [await behind.finish(session.id, at(0.01), started=True) for session in (first, second)]
    proxy.lose_replies = True
    new = a_session()
    outcomes = await asyncio.gather(
        behind.create(new),
        *(behind.admit(session.id, at(1), START + 15) for session in (first, first, second)),
        behind.end(second.id, EndReason.CALLER, at(2)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreFailure] * 5
    proxy.lose_replies = False
    await behind.recover(StoreFailure(StoreProblem.IO, "as told"))
    assert [await behind.get(session.id) for session in (first, second)] == finished
    assert await behind.get(new.id) is None


async def test_what_happened_before_the_failure_stays(behind: RedisStore, proxy: Proxy) -> None:
    session = await added(behind)
    admitted = await behind.admit(session.id, at(1), START + 15)
    proxy.lose_replies = True
    with pytest.raises(StoreFailure):
        await behind.get(session.id)
    proxy.lose_replies = False
    await behind.recover(StoreFailure(StoreProblem.IO, "as told"))
    assert await behind.get(session.id) == admitted


async def test_a_recovery_that_was_not_answered_is_repeated_and_takes_nothing_more_back(
    behind: RedisStore, proxy: Proxy
) -> None:
    session = await added(behind)
    admitted = await behind.admit(session.id, at(0), START + 15)
    start = await behind.position()
    proxy.lose_replies = True
    with pytest.raises(StoreFailure):
        await behind.admit(session.id, at(1), START + 15)
    proxy.lose_replies = False
    proxy.lose_answers_after = 1  # that to HELLO comes
    with pytest.raises(StoreFailure):
        await behind.recover(StoreFailure(StoreProblem.IO, "as told"))
    proxy.lose_answers_after = -1
    await behind.recover(StoreFailure(StoreProblem.IO, "as told"))
    assert await behind.get(session.id) == admitted
    assert await behind.position() == start


async def test_nothing_runs_between_a_failure_and_the_recovery(behind: RedisStore, proxy: Proxy) -> None:
    session = await added(behind)
    proxy.lose_replies = True
    with pytest.raises(StoreFailure):
        await behind.renew(session.id, at(1))
    proxy.lose_replies = False
    connections = proxy.connections
    for _ in range(3):
        with pytest.raises(StoreFailure):
            await behind.get(session.id)
    assert proxy.connections == connections


async def test_records_in_an_earlier_state_are_noticed_and_watches_cannot_go_on_as_if_nothing_were_missing(
    store: RedisStore, raw: Connection, prefix: str
) -> None:
    session = await added(store)
    position = await store.position()
    key = f"{{{prefix}}}:w:{store._turns.writer}"
    await raw.send("HSET", key, "nr", store._turns.acknowledged - 1)  # as a replica that lags behind
    with pytest.raises(StoreFailure) as caught:
        await store.get(session.id)
    assert caught.value.problem is StoreProblem.GONE
    await store.recover(caught.value)
    assert await store.get(session.id) == session
    with pytest.raises(Exception, match=position):
        await store.events(ANY, position, 10)


async def test_an_emptied_redis_is_noticed_by_an_inspection_and_takes_records_again(
    store: RedisStore, raw: Connection, prefix: str
) -> None:
    session = await added(store)
    await store.inspect()
    for key in await raw.send("KEYS", f"{{{prefix}}}:*"):
        await raw.send("DEL", key)
    with pytest.raises(StoreFailure) as caught:
        await store.inspect()
    assert caught.value.problem is StoreProblem.GONE
    await store.recover(caught.value)
    assert await store.get(session.id) is None
    await store.restore([session], START)
    assert await store.get(session.id) == session
    assert await walk(store, ANY, 10) == [session.id]
    position = await store.position()
    await store.end(session.id, EndReason.CALLER, at(1))
    assert [event.session.ended_at for event in (await store.events(ANY, position, 10)).events] == [WALL + 1]
