"""Who takes over from a gateway that is gone, and what becomes of one that comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import GatewayDraining, GatewayError, RunState
from gateway.model import EndReason, SessionStatus
from gateway.rpc.raw import Failure
from gateway.shards import shard_of
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import ANY
from gateway.testing.waiting import DEADLINE, until
from tests.cluster.assembly import ME, TAKEOVER, Assembled, Counting, machine

Start = Callable[..., Awaitable[Assembled]]


@pytest.fixture
async def start(redis: RedisProcess, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway with a name. All are gone at the end."""
    one_machine, started = machine(), list[Assembled]()

    async def start(name: str) -> Assembled:
        gateway = Assembled(redis.url, "assembled", name, tmp_path, one_machine)
        await gateway.start()
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        await gateway.stop(end_sessions=True)


async def test_sessions_of_one_that_is_silent_go_on_with_another_and_it_is_fenced(start: Start) -> None:
    first, second = await start("first"), await start("second")
    _, session = await first.run()
    assert await second.run(session) == (2, session)
    first.fall_silent()
    await until(second.has(session))
    assert await second.run(session) == (3, session)
    found = await second.get(session)
    assert (found.call_count, found.epoch, found.status) == (3, 2, SessionStatus.ACTIVE)
    with pytest.raises(GatewayError) as refused:
        await first.run_here(session)  # it has not noticed yet
    assert refused.value.run_state is RunState.NOT_STARTED
    await until(lambda: first.store.available and not first.shards.owns(session))
    assert first.shards.own != ""
    assert await first.run(session) == (4, session)
    assert (await second.get(session)).call_count == 4


async def test_a_gateway_ends_no_session_of_a_shard_that_it_does_not_know_yet(start: Start) -> None:
    first, second = await start("first"), await start("second")
    _, session = await first.run()
    # As it was before the first one entered. Others enter anew whenever they were held up for too long.
    known = second.shards.table
    second.shards.table = replace(known, shards={second.shards.own: known.shards[second.shards.own]})
    with pytest.raises(GatewayDraining):
        await second.run_here(session)
    assert (await first.get(session)).status is SessionStatus.ACTIVE
    assert await first.run(session) == (2, session)


async def test_one_that_stops_hands_on_at_once(start: Start) -> None:
    first, second = await start("first"), await start("second")
    _, session = await first.run()
    await first.stop()
    since = asyncio.get_running_loop().time()
    await until(second.has(session))
    assert asyncio.get_running_loop().time() - since < TAKEOVER
    assert await second.run(session) == (2, session)


async def test_a_call_that_runs_meanwhile_ends_where_the_session_is_by_then(start: Start) -> None:
    first, second = await start("first"), await start("second")
    _, session = await first.run()
    running = asyncio.ensure_future(first.run(session, wait=True))
    await until(lambda: first.manager.calls_in_flight)
    await Counting.begun.wait()
    first.fall_silent()
    await until(second.has(session))
    next_one = asyncio.ensure_future(second.run(session))
    with pytest.raises(GatewayError):
        await first.run_here(session)
    with pytest.raises(Failure):
        await running
    Counting.gate.set()
    assert await next_one == (3, session)
    assert (await second.get(session)).call_count == 3


async def test_the_same_gateway_started_again_has_its_sessions_at_once(start: Start, redis: RedisProcess) -> None:
    first, second = await start("first"), await start("second")
    _, session = await first.run()
    await first.die()
    again = await start("first")
    assert again.has(session)()
    assert await second.run(session) == (2, session)


async def test_each_session_expires_once_also_where_its_gateway_is_gone(start: Start) -> None:
    gateways = [await start(name) for name in ("first", "second", "third")]
    position = await gateways[0].store.position()
    sessions = [(await gateway.run(timeout=4))[1] for gateway in gateways]
    assert len({shard_of(session) for session in sessions}) == len(sessions)
    await gateways[0].die()

    async def ended() -> list[str]:
        page = await gateways[1].store.events(ANY, position, 100)
        return [event.session.id for event in page.events if event.session.end_reason is EndReason.IDLE_TIMEOUT]

    async with asyncio.timeout(DEADLINE):
        while len(await ended()) < len(sessions):  # noqa: ASYNC110  # the store tells nobody
            await asyncio.sleep(0.05)
    await gateways[2].manager.list(ANY, 10, "", ME)
    assert sorted(await ended()) == sorted(sessions)


async def test_of_many_that_want_a_shard_one_gets_it(start: Start) -> None:
    gateways = [await start(name) for name in ("first", "second", "third", "fourth")]
    _, session = await gateways[0].run()
    await gateways[0].die()
    shard, row = shard_of(session), gateways[1].shards.table.peers["first"]
    rest = gateways[1:]
    for gateway in rest:
        gateway.cluster.fall_silent()

    async def wants(gateway: Assembled) -> bool:
        while True:
            await gateway.store.inspect()
            hold = gateway.shards.table.shards[shard]
            if hold.name != "first":
                return hold.name == gateway.shards.name
            if await gateway.cluster.take(shard, "first", gateway.shards.table.peers["first"].alive_until):
                return True

    async with asyncio.timeout(DEADLINE):
        taken = await asyncio.gather(*map(wants, rest))
    assert sorted(taken) == [False, False, True]
    assert row.name == "first"
