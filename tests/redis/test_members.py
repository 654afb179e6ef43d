"""Several stores on one prefix, each with shards of its own: who may write what, and who takes over from whom."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.clock import SystemClock
from gateway.config import Settings
from gateway.doctor.cluster import cluster as look
from gateway.model import SESSION_ID_LENGTH, EndReason, Session, new_session_id
from gateway.shards import NO_SHARD, Shards, shard_of
from gateway.store_settings import StoreSettings
from gateway.stores.base import StoreFailure, StoreProblem, StoreUnusable
from gateway.stores.redis import RedisStore
from gateway.stores.redis_claims import Claim, Membership
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_script import TEXT
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import ANY, START, TIMEOUT, a_session, at, walk
from tests.redis.conftest import OpenStore

SOON = 0.2
"""A time to be heard of, in seconds, that the tests wait for."""


class Member:
    """A store of one of several gateways."""

    def __init__(self, redis: RedisProcess, prefix: str, name: str, lease: float, agreed: str) -> None:
        self.shards = Shards(name)
        self.membership = Membership(self.shards, f"the one called {name}", agreed, lease, address=f"{name}:1")
        server = RedisServer(StoreSettings(url=redis.url))
        self.store = RedisStore(server, SystemClock(), prefix=prefix, claim=self.membership)

    async def opens(self, **changes: object) -> Session:
        """Open a session."""
        session = a_session(id=self.shards.drawn(new_session_id), **changes)
        await self.store.create(session)
        return session

    async def succeeds(self, other: "Member") -> str:
        """Take over what the other one has opened, once it counts as dead. Returns the shard."""
        shard = other.shards.own
        while not await self.store.take(shard, other.shards.name, self.alive_until(other)):
            await asyncio.sleep(SOON / 10)
            await self.store.inspect()
        await self.store.inspect()
        return shard

    def alive_until(self, other: "Member") -> int:
        """Return what this one knows of another."""
        return self.shards.table.peers[other.shards.name].alive_until


Enter = Callable[..., Awaitable[Member]]


@pytest.fixture
async def enter(redis: RedisProcess, prefix: str) -> AsyncIterator[Enter]:
    """Open the store of a member. All are closed at the end."""
    members: list[Member] = []

    async def enter(name: str, lease: float = 60.0, agreed: str = "") -> Member:
        member = Member(redis, prefix, name, lease, agreed)
        await member.store.open()
        members.append(member)
        return member

    yield enter
    for member in members:
        await member.store.close()


def test_the_scripts_know_where_the_shard_is_in_an_id() -> None:
    assert f"ID_LENGTH, NO_SHARD = {SESSION_ID_LENGTH}, '{NO_SHARD}'" in TEXT
    assert len(new_session_id()) == SESSION_ID_LENGTH


async def test_each_has_a_shard_of_its_own_and_sees_what_all_have(enter: Enter) -> None:
    first, second = await enter("first"), await enter("second")
    sessions = [await first.opens(), await second.opens(), await first.opens(owner="another")]
    assert len({shard_of(session.id) for session in sessions}) == 2
    for member in (first, second):
        assert [await member.store.get(session.id) for session in sessions] == sessions
        assert await walk(member.store, ANY, 2) == [session.id for session in sessions[::-1]]
        assert await member.store.count_active("owner", 10) == 2


async def test_sessions_are_due_where_they_are_held(enter: Enter) -> None:
    first, second = await enter("first"), await enter("second")
    session = await first.opens()
    assert await second.store.due(at(TIMEOUT + 1), 10) == []
    assert await first.store.due(at(TIMEOUT + 1), 10) == [session.id]


async def test_one_that_is_alive_keeps_what_it_has(enter: Enter) -> None:
    first, second = await enter("first"), await enter("second")
    await first.opens()
    assert not await second.store.take(first.shards.own, "first", second.alive_until(first))
    assert not await second.store.take("nothing", "first", 2**50)
    assert not await second.store.take(first.shards.own, "third", 2**50)


async def test_one_that_was_heard_of_since_the_last_look_keeps_what_it_has(enter: Enter) -> None:
    first, second = await enter("first", SOON), await enter("second")
    await first.opens()
    seen = second.alive_until(first)
    await asyncio.sleep(SOON / 4)  # the server's clock, which nothing else moves
    await first.store.inspect()
    await asyncio.sleep(SOON * 1.5)
    assert not await second.store.take(first.shards.own, "first", seen)
    await second.store.inspect()
    assert await second.store.take(first.shards.own, "first", second.alive_until(first))


async def test_whatever_one_that_was_succeeded_still_sends_is_refused(enter: Enter) -> None:
    first, second = await enter("first", SOON), await enter("second")
    session = await first.opens()
    busy = await first.store.admit(session.id, at(0), START + 15)
    assert busy is not None
    shard = await second.succeeds(first)
    assert await first.store.finish(session.id, at(0.01), started=True)  # which is to be written a moment later
    (inherited,) = await second.store.inherit(shard)
    assert inherited == replace(busy, epoch=busy.epoch + 1)
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: first.store.end(session.id, EndReason.CALLER, at(1)),
        lambda: first.store.renew(session.id, at(1)),
        lambda: first.store.get(session.id),
    ]
    for write in writes:
        with pytest.raises(StoreFailure) as refused:
            await write()
        assert refused.value.problem is StoreProblem.FENCED
    assert await second.store.get(session.id) == inherited


async def test_one_that_is_fenced_enters_anew_and_writes_nothing_of_what_it_had(enter: Enter) -> None:
    first, second = await enter("first", SOON), await enter("second")
    session = await first.opens()
    await first.store.admit(session.id, at(0), START + 15)
    shard = await second.succeeds(first)
    assert await first.store.finish(session.id, at(0.01), started=True)
    with pytest.raises(StoreFailure) as fenced:
        await first.store.recover(StoreFailure(StoreProblem.IO, "a lost connection, for all it knows"))
    assert fenced.value.problem is StoreProblem.FENCED
    await first.store.recover(fenced.value)
    assert first.shards.own not in ("", shard)
    assert first.shards.taken == {first.shards.own}
    new = await first.opens()
    await first.store.quiet()
    found = await second.store.get(session.id)
    assert found is not None
    assert found.in_flight == 1
    assert await second.store.get(new.id) == new


async def test_of_many_at_once_one_takes_over(enter: Enter) -> None:
    dead, members = await enter("dead", SOON), [await enter(f"member {number}") for number in range(8)]
    await dead.opens()
    await asyncio.sleep(SOON * 1.5)
    taken = await asyncio.gather(
        *(member.store.take(dead.shards.own, "dead", member.alive_until(dead)) for member in members)
    )
    assert sorted(taken) == [False] * 7 + [True]


async def test_the_same_one_started_again_has_its_sessions_at_once(enter: Enter) -> None:
    first = await enter("first")
    session = await first.opens()
    again = await enter("first")
    assert list(again.shards.untaken()) == [shard_of(session.id)]
    assert [each.id for each in await again.store.inherit(shard_of(session.id))] == [session.id]
    with pytest.raises(StoreFailure) as refused:
        await first.store.get(session.id)
    assert refused.value.problem is StoreProblem.FENCED
    with pytest.raises(StoreFailure, match="copy of this data directory"):
        await first.store.recover(refused.value)


@pytest.mark.parametrize("hands_on", [True, False])
async def test_what_one_leaves_is_free_or_kept_for_it(enter: Enter, hands_on: bool) -> None:
    first, second = await enter("first"), await enter("second")
    first.membership.hands_on = hands_on
    session = await first.opens()
    shard = shard_of(session.id)
    await first.store.close()
    await second.store.inspect()
    hold = second.shards.table.shards[shard]
    assert hold.name == ("" if hands_on else "first")
    assert await second.store.take(shard, hold.name, 2**50) is hands_on


async def test_a_shard_without_sessions_goes_with_its_gateway(enter: Enter) -> None:
    first, second = await enter("first"), await enter("second")
    session = await first.opens()
    await first.store.end(session.id, EndReason.CALLER, at(1))
    await first.store.close()
    await second.store.inspect()
    assert set(second.shards.table.shards) == {second.shards.own}
    assert set(second.shards.table.peers) == {"second"}
    assert (await second.store.get(session.id)) is not None


async def test_a_gateway_by_itself_and_members_keep_one_another_out(
    enter: Enter, opened: OpenStore, redis: RedisProcess
) -> None:
    first = await enter("first")
    with pytest.raises(StoreUnusable, match=r"several gateways have this prefix.*the one called first"):
        await opened(redis.url, claim=Claim("alone", "the lone one"))
    await first.store.close()
    alone = await opened(redis.url, claim=Claim("alone", "the lone one"))
    with pytest.raises(StoreUnusable, match=r"for itself.*the lone one"):
        await enter("first")
    session = a_session()
    await alone.create(session)
    await alone.close()
    second = await enter("second")
    assert list(second.shards.untaken()) == [NO_SHARD]
    assert [each.id for each in await second.store.inherit(NO_SHARD)] == [session.id]


async def test_members_whose_settings_differ_are_refused(enter: Enter) -> None:
    await enter("first", agreed="retention 1")
    with pytest.raises(StoreUnusable, match=r"retention 1.*the one called first"):
        await enter("second", agreed="retention 2")


async def test_members_of_an_emptied_redis_put_their_shards_back(enter: Enter, raw: Connection, prefix: str) -> None:
    first, second = await enter("first"), await enter("second")
    sessions, secret = [await first.opens(), await second.opens()], first.membership.secret
    for key in await raw.send("KEYS", f"{{{prefix}}}:*"):
        await raw.send("DEL", key)
    for member, session in ((first, sessions[0]), (second, sessions[1])):
        with pytest.raises(StoreFailure) as gone:
            await member.store.inspect()
        assert gone.value.problem is StoreProblem.GONE
        await member.store.recover(gone.value)
        await member.store.restore([session], START)
    for member in (first, second):
        await member.store.inspect()
        assert {shard: hold.name for shard, hold in member.shards.table.shards.items()} == {
            first.shards.own: "first",
            second.shards.own: "second",
        }
        assert [await member.store.get(session.id) for session in sessions] == sessions
    assert first.membership.secret == second.membership.secret == secret


async def test_what_is_taken_back_leaves_what_others_have_told(enter: Enter, raw: Connection, prefix: str) -> None:
    first, second = await enter("first"), await enter("second")
    start = await second.store.position()
    mine = await first.opens()
    theirs = await second.opens()
    after = await second.store.position()
    turns = first.store._turns
    turns.acknowledged -= 1  # as if the answer to the last run had been lost
    await first.store.recover(StoreFailure(StoreProblem.IO, "as told"))
    assert await second.store.get(mine.id) is None
    told = (await second.store.events(ANY, start, 10)).events
    assert [event.session.id for event in told] == [theirs.id]
    assert (await second.store.events(ANY, after, 10)).events == ()


async def test_the_doctor_names_the_gateways_and_which_cannot_be_reached(
    enter: Enter, redis: RedisProcess, prefix: str
) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    first = await enter("first")
    first.membership.address = f"127.0.0.1:{port}"
    await first.store.recover(StoreFailure(StoreProblem.IO, "so that its address is told anew"))
    settings = Settings.model_validate(
        {"store": {"url": redis.url, "prefix": prefix}, "cluster": {"listen": "127.0.0.1:0"}}
    )
    assert [finding.status.value async for finding in look(settings)] == ["ok"]
    server.close()
    await server.wait_closed()
    assert [finding.status.value async for finding in look(settings)] == ["failed"]
