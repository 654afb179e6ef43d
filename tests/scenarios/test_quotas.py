"""Quotas of callers, from the outside."""

import asyncio

from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Answer
from tests.scenarios.conftest import StartGateway, StartVirtual, new_key
from tests.scenarios.failures import refused

UNKNOWN = "sess_" + 26 * "a"


async def test_a_session_too_many_is_refused_until_one_has_ended(start_gateway: StartGateway) -> None:
    client = await start_gateway(quotas={"live_sessions": 2})
    sessions = [(await client.new()).id for _ in range(2)]
    refusal = await refused(client.new(), "QUOTA_EXCEEDED", "NOT_STARTED")
    assert refusal.info.metadata["quota"] == "live_sessions"
    assert refusal.info.metadata["limit"] == "2"
    await client.run(session=sessions[0])
    await client.end(sessions[0])
    await client.new()


async def test_of_many_that_come_at_once_no_more_are_opened_than_may_be(start_gateway: StartGateway) -> None:
    client = await start_gateway(quotas={"live_sessions": 3})
    answers = await asyncio.gather(*(client.new() for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, Answer) for answer in answers) == 3
    assert len((await client.list(status=pb.SESSION_STATUS_ACTIVE)).sessions) == 3


async def test_a_first_call_that_fails_gives_its_place_back(start_gateway: StartGateway) -> None:
    client = await start_gateway(quotas={"live_sessions": 1})
    for _ in range(3):
        await refused(client.run("no_such_function", session="new"), "FUNCTION_NOT_FOUND", "NOT_STARTED")
    await client.new()


async def test_calls_beyond_the_rate_are_told_when_to_come_again(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(quotas={"calls_per_second": 2})
    session = (await virtual.client.new()).id
    await virtual.client.run(session=session)
    refusal = await refused(virtual.client.run(session=session), "QUOTA_EXCEEDED", "NOT_STARTED")
    assert refusal.retry_delay == 0.5
    assert (await virtual.client.get(session)).call_count == 2
    await virtual.clock.advance(0.5)
    assert (await virtual.client.run(session=session)).output["calls"] == 3


async def test_what_is_asked_about_sessions_is_no_call(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(quotas={"calls_per_second": 1})
    session = (await virtual.client.new()).id
    await virtual.client.keepalive(session)
    await virtual.client.list()
    await virtual.client.end(session)


async def test_an_input_beyond_the_quota_is_refused_however_long_one_waits(start_gateway: StartGateway) -> None:
    client = await start_gateway(quotas={"input_bytes": 100})
    session = (await client.new()).id
    await refused(client.run("echo", {"text": 100 * "a"}, session=session), "QUOTA_EXCEEDED", "NOT_STARTED")
    assert (await client.run(session=session)).output["calls"] == 2


async def test_one_caller_with_many_requests_does_not_make_another_wait_for_all_of_them(
    start_gateway: StartGateway,
) -> None:
    greedy = await start_gateway(workers={"max_workers": 1})
    modest = greedy.as_caller(new_key())
    holding = (await greedy.new()).id
    served: list[str] = []

    async def opened(name: str) -> None:
        client = greedy if name == "greedy" else modest
        session = (await client.new(deadline=None)).id
        served.append(name)
        await client.end(session)

    waiting = [asyncio.create_task(opened("greedy")) for _ in range(10)]
    await refused(greedy.get(UNKNOWN), "SESSION_NOT_FOUND")  # which comes behind all those requests
    waiting.append(asyncio.create_task(opened("modest")))
    await refused(modest.get(UNKNOWN), "SESSION_NOT_FOUND")
    await greedy.end(holding)
    await asyncio.gather(*waiting)
    assert served.index("modest") <= 1
    assert len(served) == 11
