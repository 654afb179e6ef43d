"""What callers see while the store fails, and what is on record afterwards. The lock is real, only time is not."""

import asyncio
import sqlite3

import pytest

from gateway.testing.gate import Gate
from gateway.testing.waiting import until
from gateway.timing import CALL_LEASE, ENDING_PAUSE, STORE_BUSY_PATIENCE, STORE_END_SLIDE, STORE_PROBE
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import kill_worker
from tests.scenarios.client import Client
from tests.scenarios.conftest import StartVirtual, VirtualGateway
from tests.scenarios.failures import refused

UNAVAILABLE = "STORE_UNAVAILABLE"
LONG = 300.0


@pytest.fixture
async def virtual(start_virtual: StartVirtual) -> VirtualGateway:
    """A gateway with the embedded store, of which a file is locked here, whatever store other tests have."""
    return await start_virtual(store={})


class Lock:
    """Locks the store of a gateway, and lets go."""

    def __init__(self, virtual: VirtualGateway) -> None:
        self._virtual = virtual
        path = virtual.gateway._settings.data_dir / "sessions.db"
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("BEGIN IMMEDIATE")
        self.since = virtual.elapsed

    async def lift(self) -> float:
        """Unlock, and wait until the store is available. Returns for how many seconds it was not."""
        self._db.close()
        store = self._virtual.gateway.store
        while not store.available:  # a probe that was under way before may still fail: the next one finds the store
            await until(lambda: store.available or store._pauses)
            await self._virtual.clock.advance(STORE_PROBE)
        return self._virtual.elapsed - self.since


async def locked(virtual: VirtualGateway) -> Lock:
    """Lock the store so that it counts as unavailable."""
    lock = Lock(virtual)
    await until_unavailable(virtual)
    return lock


async def until_unavailable(virtual: VirtualGateway) -> None:
    """Have an operation of the gateway fail."""
    renewal = asyncio.ensure_future(virtual.gateway.store.purge(0.0))
    await virtual.clock.advance(STORE_BUSY_PATIENCE + 0.2)
    assert isinstance((await asyncio.gather(renewal, return_exceptions=True))[0], Exception)
    assert not virtual.gateway.store.available


async def everything_is_refused(client: Client, session: str) -> None:
    await refused(client.run(session=session), UNAVAILABLE, "NOT_STARTED")
    await refused(client.new(), UNAVAILABLE, "NOT_STARTED")
    await refused(client.run(session=session, request_id="r"), UNAVAILABLE, "NOT_STARTED")
    for request in (client.get(session), client.keepalive(session), client.end(session), client.list()):
        await refused(request, UNAVAILABLE)


async def test_while_the_store_is_locked_everything_about_sessions_is_refused_and_nothing_applied(
    virtual: VirtualGateway,
) -> None:
    client = virtual.client
    opened = await client.new("remember", {"text": "kept"})
    lock = await locked(virtual)
    await everything_is_refused(client, opened.id)
    assert (await client.run()).output["calls"] == 1  # a plain call needs no record
    await lock.lift()
    assert (await client.get(opened.id)).call_count == 1
    assert (await client.run("recall", session=opened.id, request_id="r")).output["memory"] == "kept"
    assert [session.id for session in (await client.list()).sessions] == [opened.id]
    assert (await client.end(opened.id)).call_count == 2


async def test_a_new_session_that_could_not_be_recorded_leaves_no_worker_behind(virtual: VirtualGateway) -> None:
    await virtual.client.new()
    lock = await locked(virtual)
    for _ in range(3):
        await refused(virtual.client.new(), UNAVAILABLE, "NOT_STARTED")
    await lock.lift()
    pool = virtual.gateway.pool
    await until(lambda: len(pool._workers) == 1)  # type: ignore[attr-defined]


async def test_a_call_that_ran_is_answered_although_its_end_cannot_be_recorded_and_is_counted_later(
    virtual: VirtualGateway, gate: Gate
) -> None:
    opened = await virtual.client.new()
    call = asyncio.create_task(
        virtual.client.run("hold", {"gate": gate.path, "word": "a"}, session=opened.id, deadline=None)
    )
    assert await gate.arrival() == "a"
    lock = await locked(virtual)
    gate.open("a")
    answer = await call
    assert (answer.output["word"], answer.session.call_count) == ("a", 2)
    # No more than what the worker can tell another gateway, should this one die before it is on record.
    assert answer.session.expires_in.ToTimedelta().total_seconds() == pytest.approx(60 - STORE_END_SLIDE)
    outage = await lock.lift()
    after = await virtual.client.get(opened.id)
    assert (after.status, after.call_count) == (pb.SESSION_STATUS_ACTIVE, 2)
    assert (await virtual.client.run(session=opened.id)).session.call_count == 3
    assert outage > 0


async def test_a_call_that_was_refused_by_its_input_is_taken_back_from_the_count_later(
    virtual: VirtualGateway, gate: Gate
) -> None:
    opened = await virtual.client.new()
    call = asyncio.create_task(
        virtual.client.run("hold", {"gate": gate.path, "word": "a"}, session=opened.id, deadline=None)
    )
    assert await gate.arrival() == "a"
    queued = asyncio.create_task(virtual.client.run("typed", {"number": "x"}, session=opened.id, deadline=None))
    live = virtual.gateway.manager._lifecycle.live[opened.id]
    await until(lambda: live.turns.waiting)
    lock = await locked(virtual)
    gate.open("a")
    await call
    await refused(queued, "INVALID_INPUT", "NOT_STARTED")
    await lock.lift()
    assert (await virtual.client.get(opened.id)).call_count == 2


async def test_the_time_of_an_outage_does_not_count_for_the_window_and_expiry_works_afterwards(
    virtual: VirtualGateway,
) -> None:
    opened = await virtual.client.new(session_timeout=10)
    await virtual.clock.advance(4)
    lock = await locked(virtual)
    await virtual.clock.advance(LONG)
    outage = await lock.lift()
    left = (await virtual.client.get(opened.id)).expires_in.ToMilliseconds() / 1000
    assert left == pytest.approx(6, abs=STORE_PROBE)
    assert outage > LONG
    await virtual.clock.advance(left - 0.1)
    assert (await virtual.client.get(opened.id)).status == pb.SESSION_STATUS_ACTIVE
    await virtual.clock.advance(0.2)
    await virtual.clock.advance(ENDING_PAUSE)
    pool = virtual.gateway.pool
    await until(lambda: pool.holder(opened.session.worker_id) is None)  # by itself: nobody has asked
    await refused(virtual.client.run(session=opened.id), "SESSION_EXPIRED", "NOT_STARTED")


async def test_a_call_in_flight_holds_its_session_through_an_outage_longer_than_any_lease(
    virtual: VirtualGateway, gate: Gate
) -> None:
    opened = await virtual.client.new(session_timeout=1)
    call = asyncio.create_task(
        virtual.client.run("hold", {"gate": gate.path, "word": "a"}, session=opened.id, deadline=None)
    )
    assert await gate.arrival() == "a"
    lock = await locked(virtual)
    await virtual.clock.advance(3 * CALL_LEASE)
    await lock.lift()
    await virtual.clock.advance(2 * CALL_LEASE)  # every sweep and every timer comes by
    assert (await virtual.client.get(opened.id)).status == pb.SESSION_STATUS_ACTIVE
    gate.open("a")
    assert (await call).output["word"] == "a"
    await virtual.clock.advance(1.1)
    await refused(virtual.client.run(session=opened.id), "SESSION_EXPIRED", "NOT_STARTED")


@pytest.mark.parametrize("how", [{"signal": 9}, {"code": 3}])
async def test_a_worker_that_dies_meanwhile_is_told_at_once_and_is_on_record_later(
    virtual: VirtualGateway, how: dict[str, int], gate: Gate
) -> None:
    opened = await virtual.client.new()
    other = await virtual.client.new()
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(opened.id)
        call = asyncio.create_task(
            virtual.client.run("hold", {"gate": gate.path, "word": "a"}, session=opened.id, deadline=None)
        )
        assert await gate.arrival() == "a"
        deadly = asyncio.create_task(virtual.client.run("die", how, session=opened.id, deadline=None))
        live = virtual.gateway.manager._lifecycle.live[opened.id]
        await until(lambda: live.turns.waiting)
        last = asyncio.create_task(virtual.client.run(session=opened.id, deadline=None))
        await until(lambda: live.turns.waiting == 2)
        lock = await locked(virtual)
        gate.open("a")
        await call
        lost = await refused(deadly, "WORKER_LOST", "UNKNOWN")
        assert lost.end_reason == "WORKER_LOST"
        await refused(last, "SESSION_ENDED", "NOT_STARTED")
        news = await stream.receive()
        assert news.error.code == errors_pb2.ERROR_CODE_SESSION_ENDED
        await refused(virtual.client.run(session=opened.id), UNAVAILABLE, "NOT_STARTED")
    await lock.lift()
    ended = await virtual.client.get(opened.id)
    assert (ended.end_reason, ended.call_count) == (errors_pb2.END_REASON_WORKER_LOST, 3)
    assert (ended.worker_exit.signal, ended.worker_exit.exit_code) == (how.get("signal", 0), how.get("code", 0))
    await refused(virtual.client.run(session=opened.id), "SESSION_ENDED", "NOT_STARTED")
    assert (await virtual.client.get(other.id)).status == pb.SESSION_STATUS_ACTIVE


async def test_a_first_call_that_fails_meanwhile_says_so_and_its_session_has_ended_later(
    virtual: VirtualGateway, gate: Gate
) -> None:
    call = asyncio.create_task(virtual.client.new("hold", {"gate": gate.path, "word": "a"}, request_id="first"))
    assert await gate.arrival() == "a"
    (live,) = virtual.gateway.manager._lifecycle.live.values()
    lock = await locked(virtual)
    kill_worker(virtual.gateway._settings.data_dir, live.worker.id)
    lost = await refused(call, "WORKER_LOST", "UNKNOWN")
    assert lost.detail.session_id == live.id
    await lock.lift()
    ended = await virtual.client.get(live.id)
    assert ended.end_reason == errors_pb2.END_REASON_WORKER_LOST
    assert not virtual.gateway.manager._lifecycle.live


async def test_a_first_call_whose_caller_leaves_meanwhile_leaves_no_session_behind(
    virtual: VirtualGateway, gate: Gate
) -> None:
    call = asyncio.create_task(virtual.client.new("hold", {"gate": gate.path, "word": "a"}, deadline=None))
    assert await gate.arrival() == "a"
    (live,) = virtual.gateway.manager._lifecycle.live.values()
    lock = await locked(virtual)
    call.cancel()  # its caller goes away
    await until(lambda: virtual.gateway.pool.holder(live.worker.id) is None)
    await lock.lift()
    ended = await virtual.client.get(live.id)
    assert ended.end_reason == errors_pb2.END_REASON_FIRST_CALL_FAILED


async def test_on_a_keepalive_stream_the_trouble_is_told_in_band_and_the_session_stays_on_it(
    virtual: VirtualGateway,
) -> None:
    opened = await virtual.client.new()
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(opened.id)
        lock = await locked(virtual)
        (answer,) = await stream.renew(opened.id)
        assert (answer.session_id, answer.error.code) == (opened.id, errors_pb2.ERROR_CODE_STORE_UNAVAILABLE)
        assert answer.error.HasField("retry_after")
        await lock.lift()
        await virtual.client.end(opened.id)
        assert (await stream.receive()).error.code == errors_pb2.ERROR_CODE_SESSION_ENDED  # unasked


async def test_a_gateway_that_stops_while_the_store_fails_ends_its_sessions_all_the_same(
    virtual: VirtualGateway,
) -> None:
    opened = await virtual.client.new()
    lock = await locked(virtual)
    await virtual.gateway.manager.close(end_sessions=True)
    pool = virtual.gateway.pool
    await until(lambda: pool.holder(opened.session.worker_id) is None)
    await lock.lift()
    ended = await virtual.client.get(opened.id)
    assert ended.end_reason == errors_pb2.END_REASON_GATEWAY_RESTARTED
