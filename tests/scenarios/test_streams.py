"""RunStream: what a generator yields comes as it is yielded, then the result; or an error, the same that Run gives."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2

from gateway.testing.gate import Gate
from gateway.testing.waiting import until
from sessiongateway.v1 import apps_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import DEADLINE, Answer, Client
from tests.scenarios.conftest import StartGateway, VirtualGateway
from tests.scenarios.failures import refused


def steps(count: int) -> list[dict[str, Any]]:
    return [{"step": step} for step in range(count)]


@pytest.mark.parametrize(
    ("function", "result"), [("count", {"total": 3}), ("count_async", {"total": 3}), ("count_only", {})]
)
async def test_partial_outputs_come_in_order_and_the_result_is_the_last(
    client: Client, function: str, result: dict[str, Any]
) -> None:
    *partials, answer = await client.stream(function, {"steps": 3}, session="new").rest()
    assert partials == steps(3)
    assert isinstance(answer, Answer)
    assert answer.output == result
    assert answer.session.id == answer.id
    assert (await client.run("recall", session=answer.id)).output["memory"] is None
    assert (await client.get(answer.id)).call_count == 2


async def test_a_partial_output_is_read_while_the_function_still_runs(client: Client, gate: Gate) -> None:
    stream = client.stream("pause", {"gate": gate.path})
    assert await stream.receive() == {"at": "gate"}
    assert await gate.arrival() == "pause"
    gate.open("pause")
    assert await stream.receive() == {"at": "home"}
    answer = await stream.receive()
    assert isinstance(answer, Answer)
    assert (answer.output, answer.id) == ({"passed": True}, "")


async def test_the_parts_come_in_the_form_of_the_request(client: Client) -> None:
    payload = json_format.ParseDict({"steps": 1}, struct_pb2.Struct())
    request = pb.RunRequest(app="probe", function="count", input=payload)
    call = client.sessions.RunStream(request, timeout=DEADLINE, metadata=client.metadata)
    partial, last = [part async for part in call]
    assert json_format.MessageToDict(partial.partial) == {"step": 0}
    assert json_format.MessageToDict(last.result.output) == {"total": 1}


async def test_a_function_that_is_no_generator_has_a_result_only(client: Client) -> None:
    (answer,) = await client.stream("run", {"a": 1}).rest()
    assert isinstance(answer, Answer)
    assert answer.output["input"] == {"a": 1}


@pytest.mark.parametrize("function", ["count", "count_async"])
async def test_run_of_a_generator_answers_with_its_result_alone(client: Client, function: str) -> None:
    assert (await client.run(function, {"steps": 500})).output == {"total": 500}


async def test_the_description_of_a_generator_says_what_it_streams(client: Client) -> None:
    response = await client.unary(client.apps.GetApp, apps_pb2.GetAppRequest(app="probe"))
    functions = {function.name: function for function in response.app.functions}
    assert functions["count"].streams
    assert list(json.loads(functions["count"].partial_schema)["properties"]) == ["step"]
    assert list(json.loads(functions["count_async"].output_schema)["properties"]) == ["total"]
    assert not functions["run"].streams


async def test_an_error_follows_the_outputs_before_it_and_the_session_lives_on(client: Client) -> None:
    session = (await client.new()).id
    stream = client.stream("break_off", {"outputs": [{"a": 1}, {"a": 2}]}, session=session)
    assert [await stream.receive(), await stream.receive()] == [{"a": 1}, {"a": 2}]
    error = await refused(stream.receive(), "APP_ERROR", "COMPLETED")
    assert (error.detail.app_failure.type, error.detail.session_id) == ("ValueError", session)
    assert (await client.run(session=session)).session.call_count == 3


@pytest.mark.parametrize("outputs", [[[1]], [5], ["text"]])
async def test_an_output_that_is_no_object_is_the_apps_error_also_when_nobody_streams(
    client: Client, outputs: list[Any]
) -> None:
    session = (await client.new()).id
    for call in (client.stream, client.run):
        answer = call("break_off", {"outputs": outputs}, session=session)
        error = await refused(answer.receive() if call == client.stream else answer, "APP_ERROR", "COMPLETED")  # type: ignore[union-attr, arg-type]
        assert "not a JSON object" in error.detail.app_failure.message


async def test_a_new_session_whose_stream_fails_is_not_left_behind(client: Client) -> None:
    stream = client.stream("break_off", {"outputs": [{"a": 1}]}, session="new")
    await stream.receive()
    error = await refused(stream.receive(), "APP_ERROR", "COMPLETED")
    assert error.end_reason == "FIRST_CALL_FAILED"
    assert (await client.get(error.detail.session_id)).status == pb.SESSION_STATUS_ENDED


async def test_what_is_wrong_with_the_request_is_told_as_by_run(client: Client) -> None:
    await refused(client.stream("count", session="old", session_timeout=0).receive(), "INVALID_REQUEST", "NOT_STARTED")
    await refused(client.stream("nothing").receive(), "FUNCTION_NOT_FOUND", "NOT_STARTED")
    session = (await client.new()).id
    await client.end(session)
    await refused(client.stream("count", session=session).receive(), "SESSION_ENDED", "NOT_STARTED")


async def test_an_output_larger_than_the_gateway_passes_on_ends_the_call(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    client = await start_gateway(server={"max_output_bytes": 1000})
    session = (await client.new()).id
    flood = {"outputs": 10, "bytes": 2000, "file": str(tmp_path / "count")}
    error = await refused(client.stream("flood", flood, session=session).receive(), "APP_ERROR", "COMPLETED")
    assert error.detail.app_failure.type == "OutputTooLarge"
    assert (await client.run("recall", session=session)).output["memory"] == "the flood is over"


async def test_a_slow_reader_slows_the_function(client: Client, tmp_path: Path) -> None:
    """Far less than the 64 MB that the function has to offer is on its way at any moment."""
    counter, outputs, size = tmp_path / "count", 1000, 64 * 1024
    stream = client.stream("flood", {"outputs": outputs, "bytes": size, "file": str(counter)})
    ahead = 0
    for read in range(1, 101):
        await stream.receive()
        if read == 1:
            # Room to run ahead: a function that nothing holds back is through with all of it by then.
            for _ in range(200):
                await client.run()
        ahead = max(ahead, int(counter.read_text() or 0) - read)
    stream.cancel()
    # 256 KiB in the gateway and as much in each of the sockets' buffers; what gRPC has in flight besides.
    assert ahead < 100


@pytest.mark.parametrize("function", ["flood", "pause"])
async def test_a_caller_that_leaves_ends_the_generator_and_the_session_stays_usable(
    client: Client, gate: Gate, tmp_path: Path, function: str
) -> None:
    session = (await client.new()).id
    flood = {"outputs": 10**9, "bytes": 100, "file": str(tmp_path / "count")}
    stream = client.stream(function, flood if function == "flood" else {"gate": gate.path}, session=session)
    await stream.receive()
    if function == "pause":
        await gate.arrival()
    stream.cancel()
    expected = {"flood": "the flood is over", "pause": "cancelled"}[function]
    assert (await client.run("recall", session=session)).output["memory"] == expected


async def test_a_generator_that_never_waits_lets_a_cancellation_in_also_when_nobody_streams(
    client: Client, tmp_path: Path
) -> None:
    session, counter = (await client.new()).id, tmp_path / "count"
    flood = {"outputs": 10**9, "bytes": 1, "file": str(counter)}
    running = asyncio.ensure_future(client.run("flood", flood, session=session))
    await until(counter.exists)
    running.cancel()
    assert (await client.run("recall", session=session)).output["memory"] == "the flood is over"


async def test_a_deadline_ends_the_generator(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    stream = client.stream("pause", {"gate": gate.path}, session=session, deadline=0.5)
    assert await stream.receive() == {"at": "gate"}
    assert await gate.arrival() == "pause"
    assert await gate.departure() == "pause"
    assert (await client.run("recall", session=session)).output["memory"] == "cancelled"


async def test_a_repeat_gets_the_result_without_the_outputs_and_runs_nothing(client: Client) -> None:
    session = (await client.new()).id
    first = await client.stream("count", {"steps": 2}, session=session, request_id="once").rest()
    assert first[:2] == steps(2)
    (again,) = await client.stream("count", {"steps": 2}, session=session, request_id="once").rest()
    plain = await client.run("count", {"steps": 2}, session=session, request_id="once")
    assert isinstance(again, Answer)
    assert again.output == plain.output == {"total": 2}
    assert (await client.get(session)).call_count == 2


async def test_a_call_with_a_request_id_goes_on_without_its_reader(client: Client, tmp_path: Path) -> None:
    session = (await client.new()).id
    flood = {"outputs": 200, "bytes": 64 * 1024, "file": str(tmp_path / "count")}
    stream = client.stream("flood", flood, session=session, request_id="flood")
    await stream.receive()
    stream.cancel()
    assert (await client.run("flood", flood, session=session, request_id="flood")).output == {}
    assert (tmp_path / "count").read_text() == "200"


async def test_the_end_of_the_session_ends_the_stream(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    stream = client.stream("pause", {"gate": gate.path}, session=session)
    await stream.receive()
    await gate.arrival()
    await client.end(session)
    await refused(stream.receive(), "SESSION_ENDED", "UNKNOWN")


async def test_a_stream_is_a_call_in_flight_for_as_long_as_it_is_read(virtual: VirtualGateway, gate: Gate) -> None:
    client = virtual.client
    session = (await client.new(session_timeout=10)).id
    stream = client.stream("pause", {"gate": gate.path}, session=session, deadline=None)
    await stream.receive()
    await gate.arrival()
    await virtual.clock.advance(100)
    assert (await client.get(session)).status == pb.SESSION_STATUS_ACTIVE
    gate.open("pause")
    answer = await stream.result()
    assert answer.session.expires_in.ToSeconds() == 10


async def test_calls_behind_a_stream_wait_for_its_end(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    stream = client.stream("pause", {"gate": gate.path}, session=session)
    await stream.receive()
    await gate.arrival()
    waiting = asyncio.ensure_future(client.run("recall", session=session))
    gate.open("pause")
    assert (await stream.result()).output == {"passed": True}
    assert (await waiting).output["memory"] == "let go"
