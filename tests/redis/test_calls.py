"""How the Redis store shares round trips, and puts ends of calls on record a moment later."""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from gateway.model import EndReason, Session, SessionStatus
from gateway.stores.base import SessionFilter, StoreFailure
from gateway.stores.redis import RedisStore
from gateway.stores.redis_calls import KnownSessions
from gateway.stores.redis_clock import ServerTime
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_script import LOOK, TEXT
from gateway.stores.redis_turns import Turns
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import ANY, START, TIMEOUT, WALL, a_session, added, at, walk
from gateway.testing.waiting import until
from gateway.timing import REDIS_RECORD_GRACE, STORE_END_SLIDE
from tests.redis.conftest import OpenStore

SHORT, LONG = 0.01, 1.0
"""Seconds: of a call whose end may be written later, and of one whose end is written at once."""


class Silent:
    """A connection on which a test answers."""

    def __init__(self) -> None:
        self.replies: list[asyncio.Future[Any]] = []
        self.commands: list[tuple[object, ...]] = []

    def send(self, *command: object) -> "asyncio.Future[Any]":
        self.commands.append(command)
        self.replies.append(asyncio.get_running_loop().create_future())
        return self.replies[-1]


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
async def turns(silent: Silent) -> Turns:
    turns = Turns("{test}:", 1, KnownSessions(), ServerTime())
    turns.settled(silent, "1")  # type: ignore[arg-type]
    return turns


async def runs(raw: Connection) -> int:
    """Return how often the script has run."""
    said = (await raw.send("INFO", "commandstats")).decode()
    return int(said.partition("cmdstat_evalsha:calls=")[2].partition(",")[0])


async def called(store: RedisStore, duration: float = SHORT) -> Session:
    """Return a session after a call that began at the start."""
    session = await added(store)
    await store.admit(session.id, at(0), START + 15)
    finished = await store.finish(session.id, at(duration), started=True)
    assert finished is not None
    return finished


async def test_operations_of_one_moment_are_one_round_trip(store: RedisStore, raw: Connection) -> None:
    sessions = [await called(store) for _ in range(20)]
    store._cancel_ends()  # which would be a run of their own, should the machine take that long
    before = await runs(raw)
    await asyncio.gather(*(store.admit(session.id, at(1), START + 15) for session in sessions))
    assert await runs(raw) == before + 1


async def test_calls_and_keepalives_do_without_the_rest_of_the_script(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await called(store)
    without = TEXT.replace("function rest()", "function rest() error('the rest')")
    monkeypatch.setattr("gateway.stores.redis_turns.TEXT", without)
    monkeypatch.setattr("gateway.stores.redis_turns.DIGEST", hashlib.sha1(without.encode()).hexdigest())
    await store.admit(session.id, at(1), START + 15)
    await store.finish(session.id, at(1 + LONG), started=True)
    await store.renew(session.id, at(3))
    assert await store.renew_many([session.id], session.owner, at(4)) == [session.id]
    found = await store.get(session.id, session.owner)
    assert found is not None
    assert found.call_count == session.call_count + 1
    with pytest.raises(StoreFailure, match="the rest"):
        await store.page(ANY, 1)


async def test_operations_that_come_while_one_is_on_its_way_share_the_next(turns: Turns, silent: Silent) -> None:
    first = asyncio.ensure_future(turns.run(b"one", changes=("a",)))
    await asyncio.sleep(0)
    others = []
    for name in (b"two", b"three"):
        await asyncio.sleep(0)
        others.append(asyncio.ensure_future(turns.run(name, changes=("a",))))
    await asyncio.sleep(0)
    assert len(silent.commands) == 1
    silent.replies[0].set_result([b"1"])
    assert await first == b"1"
    await asyncio.sleep(0)
    assert [word for word in silent.commands[1] if word in (b"two", b"three")] == [b"two", b"three"]
    silent.replies[1].set_result([b"2", b"3"])
    assert await asyncio.gather(*others) == [b"2", b"3"]


async def test_one_that_is_cancelled_before_its_turn_is_not_sent(turns: Turns, silent: Silent) -> None:
    first = asyncio.ensure_future(turns.run(b"one", changes=("a",)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.ensure_future(turns.run(b"two", changes=("a",)))
    await asyncio.sleep(0)
    second.cancel()
    silent.replies[0].set_result([b"1"])
    await first
    await asyncio.gather(second, return_exceptions=True)
    await turns.quiet()
    assert len(silent.commands) == 1


async def test_one_that_states_a_fact_is_sent_although_whoever_asked_was_cancelled(
    turns: Turns, silent: Silent
) -> None:
    first = asyncio.ensure_future(turns.run(b"one", changes=("a",)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    fact = asyncio.ensure_future(turns.run(b"fact", changes=("a",), surely=True))
    await asyncio.sleep(0)
    fact.cancel()
    silent.replies[0].set_result([b"1"])
    await first
    await asyncio.sleep(0)
    assert b"fact" in silent.commands[1]
    silent.replies[1].set_result([b"2"])
    with pytest.raises(asyncio.CancelledError):
        await fact


@pytest.mark.parametrize("answered_first", [True, False])
async def test_who_is_cancelled_when_it_is_on_its_way_learns_the_answer_first(
    turns: Turns, silent: Silent, answered_first: bool
) -> None:
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await turns.run(b"one", changes=("a",)))
        await asyncio.Event().wait()  # for good

    task = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if answered_first:  # the answer is there before the task knows that it is cancelled
        silent.replies[0].set_result([b"1"])
        task.cancel()
    else:
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        silent.replies[0].set_result([b"1"])
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answers == [b"1"]
    assert task.cancelling() == 1


async def test_the_end_of_a_short_call_is_on_record_a_moment_later_although_nobody_asks(
    store: RedisStore, redis: RedisProcess, opened: OpenStore
) -> None:
    other = await opened(redis.url)
    session = await called(store)
    before = await other.get(session.id)
    assert before is not None
    assert (before.in_flight, before.call_count) == (1, 1)
    await until(lambda: not store._known.unwritten)
    await store.quiet()
    assert await other.get(session.id) == session


async def test_the_end_of_a_long_call_is_on_record_at_once(
    store: RedisStore, redis: RedisProcess, opened: OpenStore
) -> None:
    other = await opened(redis.url)
    session = await called(store, LONG)
    assert await other.get(session.id) == session


async def test_calls_in_turn_are_one_round_trip_each(store: RedisStore, raw: Connection) -> None:
    session = await called(store)
    before = await runs(raw)
    for turn in range(1, 4):
        await store.admit(session.id, at(turn / 10), START + 15)
        await store.finish(session.id, at(turn / 10 + SHORT), started=True)
    assert await runs(raw) == before + 3


@pytest.mark.parametrize("hold", [0, 15, 2 * TIMEOUT])
async def test_a_session_whose_end_of_a_call_was_lost_never_expires_earlier_than_was_told(
    store: RedisStore, redis: RedisProcess, opened: OpenStore, hold: float
) -> None:
    other = await opened(redis.url)
    session = await added(store)
    for elapsed in (0, STORE_END_SLIDE / 3, STORE_END_SLIDE / 2):  # each end moves the window a little further
        await store.admit(session.id, at(elapsed), START + hold)
        told = await store.finish(session.id, at(elapsed + STORE_END_SLIDE / 3), started=True)
    assert told is not None
    store._cancel_ends()  # as a process does that is killed
    store._known.unwritten.clear()
    assert await other.due(at(told.deadline - START - 0.0001), 10) == []
    still = await other.expire_if_due(session.id, at(told.deadline - START - 0.0001))
    assert still is not None
    assert still.status is SessionStatus.ACTIVE
    assert await other.due(at(TIMEOUT + max(hold, 2 * STORE_END_SLIDE)), 10) == [session.id]


async def test_a_close_leaves_nothing_unwritten(store: RedisStore, redis: RedisProcess, opened: OpenStore) -> None:
    session = await called(store)
    await store.close()
    assert await (await opened(redis.url)).get(session.id) == session


async def test_what_was_restored_is_not_overwritten_by_an_end_from_before(store: RedisStore) -> None:
    session = await called(store)
    restored = replace(session, deadline=session.deadline + 100, in_flight=2)
    await store.restore([restored], START + 500)
    store._write_ends()
    await store.quiet()
    assert await store.get(session.id) == restored


async def test_nothing_is_kept_of_sessions_that_are_over(store: RedisStore) -> None:
    ended, expired = await called(store), await called(store)
    await store.end(ended.id, EndReason.CALLER, at(1))
    await store.expire_if_due(expired.id, at(100))
    assert not store._known._known
    assert not store._known._busy
    assert not store._known.unwritten


async def test_records_of_finished_sessions_go_by_themselves_and_pages_pass_over_them(
    store: RedisStore, raw: Connection, prefix: str
) -> None:
    gone, kept = await added(store), await added(store)
    for session in (gone, kept):
        await store.end(session.id, EndReason.CALLER, at(1))
    left = await raw.send("TTL", f"{{{prefix}}}:s:{kept.id}")
    assert 24 * 3600 < left <= 24 * 3600 + REDIS_RECORD_GRACE
    await raw.send("DEL", f"{{{prefix}}}:s:{gone.id}")  # as when it has run out
    assert await walk(store, SessionFilter(owner="owner"), 1) == [kept.id]
    assert await store.purge(WALL + 10) == 2
    names = {key.rpartition(b":")[2] for key in await raw.send("KEYS", f"{{{prefix}}}:*")}
    assert not names & {b"all", b"active", b"due", b"done"}


async def test_a_page_for_which_many_entries_are_looked_at_is_whole(store: RedisStore) -> None:
    few = [a_session(app=replace(a_session().app, version="2")) for _ in range(3)]
    many = [a_session() for _ in range(2 * LOOK + 10)]
    await store.restore([few[0], *many[:LOOK], few[1], *many[LOOK:], few[2]], START)
    assert await walk(store, SessionFilter(version="2"), 2) == [each.id for each in reversed(few)]
    assert len(await walk(store, ANY, 300)) == len(many) + len(few)
    finished = [replace(each, status=SessionStatus.ENDED, end_reason=EndReason.CALLER, ended_at=WALL) for each in many]
    start = await store.position()
    await store.restore(finished, START)
    assert len((await store.events(ANY, start, 5000)).events) == len(many)
    assert len((await store.events(SessionFilter(owner="owner"), start, 5000)).events) == len(many)
    assert await store.purge(WALL + 1) == len(many)
    assert await store.forget_events(WALL + 1) == 2 * len(many) + len(few)
