"""expected_call_count: a call that runs only if nobody else has used the session meanwhile."""

import asyncio

import pytest

from gateway.testing.gate import Gate
from gateway.testing.waiting import until
from tests.scenarios.conftest import VirtualGateway
from tests.scenarios.failures import refused


async def test_a_call_runs_when_the_session_has_had_as_many_calls_as_expected(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new("run")).id
    assert (await virtual.client.run(session=session, expected_call_count=1)).output["calls"] == 2
    assert (await virtual.client.run(session=session, expected_call_count=2)).session.call_count == 3


@pytest.mark.parametrize("expected", [0, 2, 2**62])
async def test_a_session_that_has_moved_on_refuses_the_call_and_stays_as_it_is(
    virtual: VirtualGateway, expected: int
) -> None:
    session = (await virtual.client.new("run")).id
    call = virtual.client.run(session=session, expected_call_count=expected)
    error = await refused(call, "CALL_COUNT_MISMATCH", "NOT_STARTED")
    assert error.info.metadata["expectedCallCount"] == str(expected)
    assert (await virtual.client.get(session)).call_count == 1
    assert (await virtual.client.run(session=session)).output["calls"] == 2


async def test_the_count_is_looked_at_when_the_calls_turn_comes(virtual: VirtualGateway, gate: Gate) -> None:
    session = (await virtual.client.new("run")).id
    ahead = asyncio.create_task(virtual.client.run("hold", {"gate": gate.path, "word": "a"}, session=session))
    await gate.arrival()
    behind = asyncio.create_task(virtual.client.run(session=session, expected_call_count=2))
    lifecycle = virtual.gateway.manager._lifecycle
    await until(lambda: lifecycle.live[session].in_flight == 2)
    gate.open("a")
    await ahead
    assert (await behind).session.call_count == 3


async def test_a_repeat_gets_its_answer_although_the_session_has_moved_on(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new("run")).id
    first = await virtual.client.run(session=session, expected_call_count=1, request_id="once")
    repeat = await virtual.client.run(session=session, expected_call_count=1, request_id="once")
    assert repeat.output == first.output
    assert (await virtual.client.get(session)).call_count == 2


@pytest.mark.parametrize("session", ["", "new"])
async def test_the_guard_goes_only_with_a_session_that_is_there(virtual: VirtualGateway, session: str) -> None:
    error = await refused(virtual.client.run(session=session, expected_call_count=-1), "INVALID_REQUEST", "NOT_STARTED")
    assert [field for field, _ in error.bad_request] == ["expected_call_count", "expected_call_count"]
