"""Answers and numbers at the edge of what a form can carry."""

import asyncio
import math

import pytest
from google.protobuf import json_format, struct_pb2

from gateway.testing.gate import Gate
from gateway.testing.waiting import until
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Client, RunStream
from tests.scenarios.conftest import VirtualGateway
from tests.scenarios.failures import refused

DEEPEST = 33
"""Objects in each other, the innermost of them empty, that a Struct carries in an answer: three messages each, two
around them at the end of a stream, and no reader takes more than 100."""


async def run_struct(client: Client, function: str, input: dict[str, object], session: str = "") -> pb.RunResponse:
    """Run with the input as a Struct."""
    payload = json_format.ParseDict(input, struct_pb2.Struct())
    request = pb.RunRequest(app=client.app, function=function, input=payload, session=session)
    return await client.unary(client.sessions.Run, request)  # type: ignore[no-any-return]


async def test_a_struct_answer_is_as_deep_as_any_reader_takes(virtual: VirtualGateway) -> None:
    answer = await run_struct(virtual.client, "nested", {"depth": DEEPEST})
    assert json_format.MessageToJson(answer.output, indent=None).count("{") == DEEPEST


async def test_the_answer_at_the_end_of_a_stream_is_bound_as_one_without(virtual: VirtualGateway) -> None:
    client = virtual.client
    payload = json_format.ParseDict({"depth": DEEPEST}, struct_pb2.Struct())
    (part,) = [part async for part in client.sessions.RunStream(a_nested(payload))]
    assert json_format.MessageToJson(part.result.output, indent=None).count("{") == DEEPEST
    payload.update({"depth": DEEPEST + 1})
    await refused(RunStream(client.sessions.RunStream(a_nested(payload))).receive(), "APP_ERROR", "COMPLETED")


def a_nested(payload: struct_pb2.Struct) -> pb.RunRequest:
    return pb.RunRequest(app="probe", function="nested", input=payload)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 40, 50, 60])
async def test_a_struct_answer_that_nobody_could_read_is_the_apps_error(virtual: VirtualGateway, depth: int) -> None:
    session = (await virtual.client.new("run")).id
    await refused(run_struct(virtual.client, "nested", {"depth": depth}, session), "APP_ERROR", "COMPLETED")
    assert (await virtual.client.get(session)).call_count == 2
    await refused(run_struct(virtual.client, "nested", {"depth": depth}, "new"), "APP_ERROR", "COMPLETED")
    active = await virtual.client.list(status=pb.SESSION_STATUS_ACTIVE)
    assert [each.id for each in active.sessions] == [session]


async def test_a_whole_number_in_a_struct_reaches_the_app_as_one(virtual: VirtualGateway) -> None:
    answer = await run_struct(virtual.client, "nested", {"depth": 2})
    assert json_format.MessageToDict(answer.output) == {"deeper": {}}


@pytest.mark.parametrize("number", [b"1e400", b"-1E+999", b"1" + b"0" * 310 + b".0"])
@pytest.mark.parametrize("function", ["run", "typed"])
async def test_a_number_beyond_every_float_is_refused(virtual: VirtualGateway, function: str, number: bytes) -> None:
    request = pb.RunRequest(app="probe", function=function, input_json=b'{"number": ' + number + b"}")
    error = await refused(virtual.client.unary(virtual.client.sessions.Run, request), "INVALID_REQUEST", "NOT_STARTED")
    assert "too large a number" in error.message


async def test_a_whole_number_beyond_every_float_is_refused_where_a_float_is_wanted(client: Client) -> None:
    huge = {"number": 10**310, "share": 10**310}
    error = await refused(client.run("typed", huge), "INVALID_INPUT", "NOT_STARTED")
    assert [field for field, _ in error.bad_request] == ["input.share"]
    assert (await client.run("typed", huge | {"share": 1})).output["number"] == 10**310


async def test_minus_zero_stays_what_it_is(virtual: VirtualGateway) -> None:
    answer = await run_struct(virtual.client, "run", {"number": -0.0})
    number = answer.output.fields["input"].struct_value.fields["number"].number_value
    assert math.copysign(1, number) == -1


@pytest.mark.parametrize("word", ["unknown", "stop"])
async def test_a_check_of_the_input_that_raises_is_the_apps_error_of_a_call_that_was_not_started(
    client: Client, word: str
) -> None:
    session = (await client.new()).id
    input = {"number": 1, "words": [word]}
    for _ in range(2):
        error = await refused(client.run("typed", input, session=session, request_id="r"), "APP_ERROR", "NOT_STARTED")
        assert error.detail.app_failure.type == {"unknown": "LookupError", "stop": "KeyboardInterrupt"}[word]
    assert (await client.get(session)).call_count == 1


async def test_an_ended_session_never_changes_also_when_calls_were_waiting(virtual: VirtualGateway, gate: Gate) -> None:
    session = (await virtual.client.new("run")).id
    running = asyncio.create_task(virtual.client.run("hold", {"gate": gate.path, "word": "a"}, session=session))
    await gate.arrival()
    waiting = [asyncio.create_task(virtual.client.run(session=session)) for _ in range(3)]
    lifecycle = virtual.gateway.manager._lifecycle
    await until(lambda: lifecycle.live[session].turns.waiting == 3)
    ended = await virtual.client.end(session)
    await refused(running, "SESSION_ENDED", "UNKNOWN")
    for call in waiting:
        await refused(call, "SESSION_ENDED", "NOT_STARTED")
    assert ended.call_count == 2
    assert await virtual.client.get(session) == ended
