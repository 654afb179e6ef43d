"""A Redis that is away, slow, full, read-only or a stranger."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import uvloop

from gateway.clock import SystemClock
from gateway.errors import StoreUnavailable
from gateway.store_settings import StoreSettings
from gateway.stores import redis_connection
from gateway.stores.base import StoreFailure, StoreProblem, StoreUnusable
from gateway.stores.guarded import GuardedStore
from gateway.stores.redis import RedisStore
from gateway.stores.redis_claims import Claim
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_errors import NoReply
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import START, added, at
from gateway.testing.waiting import until
from gateway.timing import REDIS_REPLY, STORE_PROBE
from tests.redis.conftest import OpenStore
from tests.redis.proxy import Proxy

AS_TOLD = StoreFailure(StoreProblem.IO, "as told")


async def problem_of(store: RedisStore, session_id: str) -> StoreProblem:
    """Return how a write fails."""
    with pytest.raises(StoreFailure) as caught:
        await store.admit(session_id, at(1), START + 15)
    return caught.value.problem


async def test_a_redis_that_answers_nothing_fails_in_a_second_and_what_it_does_later_is_taken_back(
    own_redis: RedisProcess, opened: OpenStore
) -> None:
    store = await opened(own_redis.url)
    session = await added(store)
    own_redis.pause()
    began = time.monotonic()
    try:
        assert await problem_of(store, session.id) is StoreProblem.IO
        assert REDIS_REPLY * 0.9 < time.monotonic() - began < REDIS_REPLY * 3
        with pytest.raises(StoreFailure):
            await store.recover(AS_TOLD)
    finally:
        own_redis.resume()
    await store.recover(AS_TOLD)
    assert await store.get(session.id) == session


@pytest.fixture
async def guarded(proxy: Proxy, prefix: str) -> AsyncIterator[GuardedStore]:
    store = GuardedStore(
        RedisStore(RedisServer(StoreSettings(url=proxy.url)), SystemClock(), prefix=prefix), SystemClock()
    )
    await store.open()
    yield store
    proxy.refuse = False
    await store.close()


async def test_of_a_redis_that_is_away_callers_hear_at_once_and_one_connection_at_a_time_is_tried(
    guarded: GuardedStore, proxy: Proxy
) -> None:
    session = await added(guarded)
    proxy.lose_replies = proxy.refuse = True
    with pytest.raises(StoreUnavailable):
        await guarded.renew(session.id, at(1))
    before, began = proxy.connections, time.monotonic()
    await until(lambda: proxy.connections >= before + 3)
    took = time.monotonic() - began
    outcomes = await asyncio.gather(*(guarded.get(session.id) for _ in range(200)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert proxy.connections - before <= took / STORE_PROBE + 1
    proxy.lose_replies = proxy.refuse = False
    await until(lambda: guarded.available)
    assert await guarded.get(session.id) == session


async def test_a_redis_that_was_killed_and_started_again_has_every_session_that_was_acknowledged(
    own_redis: RedisProcess, opened: OpenStore
) -> None:
    store = await opened(own_redis.url)
    sessions = [await added(store) for _ in range(20)]
    admitted = await asyncio.gather(*(store.admit(each.id, at(1), START + 100) for each in sessions))
    more = [asyncio.ensure_future(added(store)) for _ in range(200)]
    await more[0]
    own_redis.kill()
    outcomes = await asyncio.gather(*more, return_exceptions=True)
    acknowledged = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert acknowledged
    own_redis.start()
    other = await opened(own_redis.url)
    assert [await other.get(session.id) for session in sessions] == admitted
    assert [await other.get(session.id) for session in acknowledged] == acknowledged


async def test_a_redis_that_has_lost_everything_is_noticed_and_live_sessions_can_be_put_back(
    short_path_redis: RedisProcess, opened: OpenStore
) -> None:
    store = await opened(short_path_redis.url)
    session = await added(store)
    short_path_redis.kill()
    short_path_redis.start()
    with pytest.raises(StoreFailure) as caught:
        await store.inspect()
    await store.recover(caught.value)
    assert await store.get(session.id) is None
    await store.restore([session], START)
    assert await store.get(session.id) == session


async def test_a_full_redis_says_so_and_changes_nothing(store: RedisStore, raw: Connection) -> None:
    session = await added(store)
    await raw.send("CONFIG", "SET", "maxmemory", "1")
    try:
        assert await problem_of(store, session.id) is StoreProblem.FULL
        with pytest.raises(StoreFailure) as caught:
            await store.recover(AS_TOLD)
        assert caught.value.problem is StoreProblem.FULL
    finally:
        await raw.send("CONFIG", "SET", "maxmemory", "0")
    await store.recover(AS_TOLD)
    assert await store.get(session.id) == session


async def test_a_redis_that_has_become_a_replica_says_so_and_changes_nothing(
    own_redis: RedisProcess, opened: OpenStore
) -> None:
    store = await opened(own_redis.url)
    session = await added(store)
    raw = await RedisServer(StoreSettings(url=own_redis.url)).connect()
    await raw.send("REPLICAOF", "127.0.0.1", "1")
    assert await problem_of(store, session.id) is StoreProblem.READ_ONLY
    await raw.send("REPLICAOF", "NO", "ONE")
    await store.recover(AS_TOLD)
    assert await store.get(session.id) == session
    await raw.close()


async def test_a_redis_that_runs_another_script_for_long_is_busy_and_nothing_has_to_be_recovered(
    own_redis: RedisProcess, opened: OpenStore
) -> None:
    store = await opened(own_redis.url)
    session = await added(store)
    raw, other = [await RedisServer(StoreSettings(url=own_redis.url)).connect() for _ in range(2)]
    await raw.send("CONFIG", "SET", "lua-time-limit", "1")
    endless = raw.send("EVAL", "while true do end", 0)
    assert await problem_of(store, session.id) is StoreProblem.BUSY
    await other.send("SCRIPT", "KILL")
    with pytest.raises(Exception, match="killed"):
        await endless
    assert await store.get(session.id) == session
    for connection in (raw, other):
        await connection.close()


async def test_who_may_not_write_is_told_so(
    redis: RedisProcess, raw: Connection, opened: OpenStore, prefix: str
) -> None:
    store = await opened(redis.url)
    session = await added(store)
    await raw.send("ACL", "SETUSER", "default", "-evalsha")
    try:
        assert await problem_of(store, session.id) is StoreProblem.READ_ONLY
    finally:
        await raw.send("ACL", "SETUSER", "default", "+@all")
    await store.recover(AS_TOLD)
    assert await store.get(session.id) == session


async def test_a_second_gateway_on_a_prefix_is_refused_and_the_same_one_started_again_is_not(
    redis: RedisProcess, opened: OpenStore
) -> None:
    first = await opened(redis.url, claim=Claim("one", "process 1 on here"))
    session = await added(first)
    with pytest.raises(StoreUnusable, match=r"another gateway has this prefix \(process 1 on here\)"):
        await opened(redis.url, claim=Claim("two", "process 2 on here"))
    again = await opened(redis.url, claim=Claim("one", "process 3 on here"))
    assert await again.get(session.id) == session
    # What the one before was about to do comes too late.
    assert await problem_of(first, session.id) is StoreProblem.GONE
    await again.close()
    await opened(redis.url, claim=Claim("two", "process 2 on here"))


async def test_a_gateway_whose_prefix_another_one_has_taken_stays_away(
    redis: RedisProcess, opened: OpenStore, raw: Connection, prefix: str
) -> None:
    first = await opened(redis.url, claim=Claim("one", "process 1 on here"))
    await raw.send("DEL", f"{{{prefix}}}:gateway")  # as when it has run out
    await opened(redis.url, claim=Claim("two", "process 2 on here"))
    for _ in range(2):
        with pytest.raises(StoreFailure) as caught:
            await first.inspect()
            await first.recover(AS_TOLD)
        assert "process 2 on here" in str(caught.value)


async def test_a_redis_that_throws_away_live_sessions_is_refused(
    redis: RedisProcess, raw: Connection, opened: OpenStore
) -> None:
    await raw.send("CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(StoreUnusable, match="allkeys-lru"):
            await opened(redis.url)
    finally:
        await raw.send("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")


async def test_what_a_redis_may_lose_is_said_at_the_start(
    own_redis: RedisProcess, opened: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    await opened(own_redis.url)
    assert not caplog.records
    raw = await RedisServer(StoreSettings(url=own_redis.url)).connect()
    await raw.send("CONFIG", "SET", "appendfsync", "no", "maxmemory-policy", "volatile-lru")
    await opened(own_redis.url, "another")
    await raw.send("CONFIG", "SET", "appendonly", "no")
    await opened(own_redis.url, "a third one")
    await raw.close()
    said = " ".join(record.message for record in caplog.records)
    assert all(word in said for word in ("appendfsync everysec", "maxmemory-policy noeviction", "appendonly yes"))


async def test_a_port_where_nobody_listens_is_told_with_its_address(opened: OpenStore) -> None:
    with pytest.raises(StoreUnusable, match=r"127\.0\.0\.1:1\b"):
        await opened("redis://127.0.0.1:1")


async def test_something_that_is_no_redis_is_told(short_path_redis: RedisProcess, opened: OpenStore) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(greet, short_path_redis.directory / "stranger")
    with pytest.raises(StoreUnusable, match="protocol"):
        await opened(f"unix://{short_path_redis.directory / 'stranger'}")
    server.close()


async def test_records_of_a_newer_release_are_refused(
    store: RedisStore, redis: RedisProcess, opened: OpenStore, raw: Connection, prefix: str
) -> None:
    await raw.send("HSET", f"{{{prefix}}}:meta", "schema", "3")
    with pytest.raises(StoreUnusable, match="newer release"):
        await opened(redis.url)


def test_a_connection_that_is_made_in_the_moment_in_which_it_is_given_up_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patience = 0.05
    monkeypatch.setattr(redis_connection, "REDIS_CONNECT", patience)
    made = Connection.connection_made

    def held_up(connection: Connection, transport: asyncio.BaseTransport) -> None:
        made(connection, transport)
        time.sleep(2 * patience)  # the process does not run, and the time for connecting is over

    monkeypatch.setattr(Connection, "connection_made", held_up)

    async def connect() -> None:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        async with server, asyncio.timeout(30):
            with pytest.raises(NoReply):
                await redis_connection.connected("here", host="127.0.0.1", port=server.sockets[0].getsockname()[1])

    uvloop.run(connect())  # which the gateway runs on; asyncio's own loop has no such moment
