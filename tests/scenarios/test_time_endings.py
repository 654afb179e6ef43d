"""What is left of a session, and for how long; how long a call waits (contract, "Session" and rule 11)."""

import asyncio

import pytest

from gateway.testing.clock import FakeClock
from gateway.testing.gate import Gate
from gateway.timing import EXPIRY_SLACK, PURGE_INTERVAL
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import failure
from tests.scenarios.conftest import StartVirtual, VirtualGateway

RETENTION = 600


async def test_expired_ended_and_unknown_are_three_different_answers(virtual: VirtualGateway) -> None:
    client = virtual.client
    expired, ended = (await client.new(session_timeout=10)).id, (await client.new()).id
    await client.end(ended)
    await virtual.clock.advance(10)
    codes = [(await failure(client.run(session=id))).code for id in (expired, ended, "sess_never")]
    assert codes == ["SESSION_EXPIRED", "SESSION_ENDED", "SESSION_NOT_FOUND"]
    codes = [(await failure(client.keepalive(id))).code for id in (expired, ended, "sess_never")]
    assert codes == ["SESSION_EXPIRED", "SESSION_ENDED", "SESSION_NOT_FOUND"]
    assert (await client.end(expired)).status == pb.SESSION_STATUS_EXPIRED
    assert (await client.end(ended)).status == pb.SESSION_STATUS_ENDED
    assert (await failure(client.end("sess_never"))).code == "SESSION_NOT_FOUND"


async def test_a_finished_session_is_readable_for_the_retention_and_then_never_was(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(sessions={"retention": RETENTION})
    expired, ended = (await virtual.client.new(session_timeout=10)).id, (await virtual.client.new()).id
    await virtual.client.end(ended)
    await virtual.clock.advance(RETENTION)
    assert {s.id for s in (await virtual.client.list()).sessions} == {expired, ended}
    assert (await failure(virtual.client.run(session=ended))).code == "SESSION_ENDED"
    await virtual.clock.advance(PURGE_INTERVAL)
    assert (await failure(virtual.client.get(ended))).code == "SESSION_NOT_FOUND"
    assert (await failure(virtual.client.run(session=ended))).code == "SESSION_NOT_FOUND"
    await virtual.clock.advance(PURGE_INTERVAL)
    assert (await failure(virtual.client.get(expired))).code == "SESSION_NOT_FOUND"
    assert list((await virtual.client.list()).sessions) == []


async def test_an_active_session_is_never_purged(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(sessions={"retention": 0})
    session = (await virtual.client.new(session_timeout=3600)).id
    await virtual.clock.advance(3 * PURGE_INTERVAL)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE


async def test_tombstones_survive_a_restart_of_the_gateway(start_virtual: StartVirtual) -> None:
    clock = FakeClock()
    first = await start_virtual(clock=clock)
    expired = (await first.client.new(session_timeout=10)).id
    ended = (await first.client.new(session_timeout=100)).id
    active = (await first.client.new(session_timeout=100)).id
    await clock.advance(10 + EXPIRY_SLACK)
    await first.client.end(ended)
    await start_virtual.stop()
    second = await start_virtual(clock=clock)
    found = {s.id: (s.status, s.end_reason) for s in (await second.client.list()).sessions}
    assert found == {
        expired: (pb.SESSION_STATUS_EXPIRED, 2),
        ended: (pb.SESSION_STATUS_ENDED, 1),
        active: (pb.SESSION_STATUS_ENDED, 5),
    }
    error = await failure(second.client.run(session=active))
    assert (error.code, error.end_reason, error.run_state) == ("SESSION_ENDED", "GATEWAY_RESTARTED", "NOT_STARTED")


@pytest.mark.parametrize("session", ["new", ""])
async def test_a_call_waits_for_a_worker_for_the_queue_time_and_not_less(
    start_virtual: StartVirtual, gate: Gate, session: str
) -> None:
    virtual = await start_virtual(workers={"max_workers": 1, "queue_time": 30})
    holding = asyncio.create_task(virtual.client.new("hold", {"gate": gate.path}, session_timeout=3600, deadline=None))
    await gate.arrival()
    waiting = asyncio.create_task(virtual.client.run(session=session, deadline=None))
    await virtual.someone_waits()
    await virtual.clock.advance(29.999)
    assert not waiting.done()
    await virtual.clock.advance(0.001)
    error = await failure(waiting)
    assert (error.code, error.run_state) == ("NO_WORKER_AVAILABLE", "NOT_STARTED")
    assert error.retry_delay is not None
    assert error.retry_delay > 0
    gate.open()
    await holding


async def test_a_caller_that_would_give_up_first_is_told_before_its_own_deadline(
    start_virtual: StartVirtual, gate: Gate
) -> None:
    virtual = await start_virtual(workers={"max_workers": 1, "queue_time": 600})
    holding = asyncio.create_task(virtual.client.new("hold", {"gate": gate.path}, session_timeout=3600, deadline=None))
    await gate.arrival()
    # An hour that passes for the gateway alone: the answer is the gateway's, not that of the caller's own clock.
    waiting = asyncio.create_task(virtual.client.new(deadline=300))
    await virtual.someone_waits()
    await virtual.clock.advance(290)
    assert not waiting.done()
    await virtual.clock.advance(10)
    error = await failure(waiting)
    assert (error.code, error.run_state) == ("NO_WORKER_AVAILABLE", "NOT_STARTED")
    gate.open()
    await holding


async def test_a_turn_that_does_not_come_before_the_deadline_is_session_busy_and_not_counted(
    virtual: VirtualGateway, gate: Gate
) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    holding = asyncio.create_task(virtual.client.run("hold", {"gate": gate.path}, session=session, deadline=None))
    await gate.arrival()
    waiting = asyncio.create_task(virtual.client.run(session=session, deadline=300))
    async with asyncio.timeout(10):
        while (await virtual.client.get(session)).call_count < 3:
            pass
    await virtual.clock.advance(300)
    error = await failure(waiting)
    assert (error.code, error.run_state, error.detail.session_id) == ("SESSION_BUSY", "NOT_STARTED", session)
    assert error.retry_delay is not None
    gate.open()
    assert (await holding).session.call_count == 2
    # Opening, holding, and this one: the call that was told to come again did not run.
    assert (await virtual.client.run(session=session)).output["calls"] == 3


async def test_a_plain_call_is_repeated_for_the_journals_window_and_then_runs_again(
    start_virtual: StartVirtual,
) -> None:
    virtual = await start_virtual(sessions={"journal_window": 120})
    assert (await virtual.client.run(request_id="once")).output["calls"] == 1
    await virtual.clock.advance(119)
    assert (await virtual.client.run(request_id="once")).output["calls"] == 1
    await virtual.clock.advance(1)
    assert (await virtual.client.run(request_id="once")).output["calls"] == 2


async def test_in_a_session_a_repeat_is_answered_for_as_long_as_the_worker_lives(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(sessions={"journal_window": 120})
    session = (await virtual.client.new(session_timeout=3600)).id
    first = await virtual.client.run(session=session, request_id="once")
    await virtual.clock.advance(1000)
    again = await virtual.client.run(session=session, request_id="once")
    assert again.output == first.output
    assert (await virtual.client.get(session)).call_count == 2
