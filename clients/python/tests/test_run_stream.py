"""A stream yields partial outputs as they come, has the result at its end, and tells of every other end."""

import asyncio
import socket
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, struct_pb2

from sessiongateway import (
    AppError,
    AsyncInference,
    AsyncRunStream,
    DeadlineExceededError,
    GatewayDrainingError,
    Inference,
    SessionGatewayError,
    UnavailableError,
)
from sessiongateway._pacing import Pacing
from sessiongateway._runner import Runner
from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.sdk.clock import FakeClock
from tests.sdk.scripted import WAIT, ScriptedGateway, abort
from tests.sdk.streams import StreamScript, partial, result

DRAINING = errors_pb2.ErrorDetail(
    code=errors_pb2.ERROR_CODE_GATEWAY_DRAINING,
    run_state=errors_pb2.RUN_STATE_NOT_STARTED,
    retry_after=duration_pb2.Duration(seconds=3),
)
APP_ERROR = errors_pb2.ErrorDetail(
    code=errors_pb2.ERROR_CODE_APP_ERROR, run_state=errors_pb2.RUN_STATE_COMPLETED, session_id="sess_1"
)


async def drain(context: Any) -> None:
    await abort(context, grpc.StatusCode.UNAVAILABLE, "draining", DRAINING)


async def raise_app_error(context: Any) -> None:
    await abort(context, grpc.StatusCode.UNKNOWN, "it raised", APP_ERROR)


def runs(gateway: ScriptedGateway) -> list[Any]:
    return gateway.received.get("RunStream", [])


def test_outputs_come_in_order_and_the_result_at_the_end(
    gateway: ScriptedGateway, client: Inference, script: StreamScript
) -> None:
    script.play(partial('{"n": 1}'), partial('{"n": 9007199254740993}'), result('{"total": 2}', "sess_1"))
    stream = client.run_stream({"app": "kv", "session": "new", "input": {"a": 1}}, function="count", request_id="r")
    assert list(stream) == [{"n": 1}, {"n": 2**53 + 1}]
    assert (stream.result.output, stream.result.session_id, stream.result.call_id) == ({"total": 2}, "sess_1", "call_1")
    assert stream.result.session is not None
    assert runs(gateway) == [
        sessions_pb2.RunRequest(app="kv", session="new", function="count", request_id="r", input_json=b'{"a":1}')
    ]


async def test_each_output_is_there_before_the_next_one_is_sent(
    async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(partial('{"n": 1}'), script.hold, partial('{"n": 2}'), result())
    stream = async_client.run_stream(app="kv")
    assert await anext(stream) == {"n": 1}
    script.release()
    assert [output async for output in stream] == [{"n": 2}]
    assert stream.result.output == {}


async def test_the_rest_can_be_passed_over_for_the_result(async_client: AsyncInference, script: StreamScript) -> None:
    script.play(partial('{"n": 1}'), partial('{"n": 2}'), result('{"a": 1}'))
    assert (await async_client.run_stream(app="kv").finish()).output == {"a": 1}


def test_a_function_that_does_not_stream_has_a_result_only(client: Inference, script: StreamScript) -> None:
    script.play(result('{"a": 1}'))
    stream = client.run_stream(app="kv")
    assert list(stream) == []
    assert stream.finish() == stream.result
    assert list(stream) == []


def test_outputs_in_the_other_form_are_read_and_unknown_parts_passed_over(
    client: Inference, script: StreamScript
) -> None:
    struct = struct_pb2.Struct()
    struct.update({"n": 3})
    answer = sessions_pb2.RunResponse(output=struct)
    script.play(
        sessions_pb2.RunStreamResponse(partial=struct),
        sessions_pb2.RunStreamResponse(),
        sessions_pb2.RunStreamResponse(result=answer),
    )
    stream = client.run_stream(app="kv")
    assert (list(stream), stream.result.output) == ([{"n": 3}], {"n": 3})


def test_nothing_is_sent_before_the_first_step(gateway: ScriptedGateway, client: Inference) -> None:
    stream = client.run_stream(app="kv")
    with pytest.raises(RuntimeError, match="has no result"):
        _ = stream.result
    stream.close()
    assert list(stream) == []
    assert runs(gateway) == []


def test_what_cannot_be_sent_is_refused_at_once(client: Inference) -> None:
    with pytest.raises(TypeError, match="did you mean 'session'"):
        client.run_stream(app="kv", sesion="new")
    with pytest.raises(ValueError, match="'app'"):
        client.run_stream()


def test_an_error_after_some_outputs_is_raised_by_the_step_that_meets_it(
    client: Inference, script: StreamScript
) -> None:
    script.play(partial('{"n": 1}'), raise_app_error)
    stream = client.run_stream(app="kv")
    assert next(stream) == {"n": 1}
    with pytest.raises(AppError) as caught:
        next(stream)
    assert (caught.value.run_state, caught.value.session_id) == ("completed", "sess_1")
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(RuntimeError, match="has no result"):
        stream.finish()


@pytest.mark.parametrize("outputs", [[], [partial("{}")]])
def test_a_stream_that_ends_without_a_result_has_failed(
    client: Inference, script: StreamScript, outputs: list[Any]
) -> None:
    script.play(*outputs)
    with pytest.raises(SessionGatewayError, match="without a result") as caught:
        list(client.run_stream(app="kv"))
    assert (caught.value.code, caught.value.run_state) == ("INVALID_RESPONSE", "unknown")


@pytest.mark.parametrize(("part", "run_state"), [(partial("{"), "unknown"), (result("{"), "completed")])
def test_what_is_not_json_is_an_error_that_says_whether_the_run_is_over(
    client: Inference, script: StreamScript, part: Any, run_state: str
) -> None:
    script.play(part, script.hold)
    with pytest.raises(SessionGatewayError) as caught:
        next(client.run_stream(app="kv"))
    assert (caught.value.code, caught.value.run_state) == ("INVALID_RESPONSE", run_state)
    assert script.cancelled.wait(WAIT)


def test_a_result_is_not_held_back_by_a_gateway_that_keeps_the_stream_open(
    gateway: ScriptedGateway, script: StreamScript
) -> None:
    script.play(result('{"a": 1}'), script.hold)
    with Inference(address=gateway.address, pacing=Pacing(status_timeout=0.05)) as client:
        assert client.run_stream(app="kv").finish().output == {"a": 1}
    assert script.cancelled.wait(WAIT)


class Recorded:
    """A transport, and a call over it, that remembers what was done with the call."""

    def __init__(self, *parts: sessions_pb2.RunStreamResponse) -> None:
        self.done: list[str] = []
        self._parts = list(parts)

    async def run_stream(self, request: Any, deadline: Any) -> "Recorded":
        return self

    async def read(self, call: Any) -> sessions_pb2.RunStreamResponse | None:
        self.done.append("read")
        return self._parts.pop(0) if self._parts else None

    def cancel(self) -> None:
        self.done.append("cancel")


async def test_the_status_behind_the_result_is_read_so_that_the_run_does_not_count_as_cancelled() -> None:
    transport: Any = Recorded(result())
    runner = Runner(transport, Pacing(), None)
    stream = AsyncRunStream(runner.stream(sessions_pb2.RunRequest(), lambda: runner.deadline(None)))
    assert (await stream.finish()).output == {}
    assert transport.done == ["read", "read", "cancel"]


def test_a_result_counts_whatever_status_follows(client: Inference, script: StreamScript) -> None:
    script.play(result('{"a": 1}'), raise_app_error)
    assert client.run_stream(app="kv").finish().output == {"a": 1}


async def test_a_connection_that_breaks_leaves_the_run_state_unknown_and_sends_nothing_again(
    gateway: ScriptedGateway, async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(partial("{}"), script.hold)
    stream = async_client.run_stream(app="kv")
    await anext(stream)
    await asyncio.to_thread(gateway.stop)
    await asyncio.to_thread(gateway.start)
    with pytest.raises(UnavailableError) as caught:
        await anext(stream)
    assert caught.value.run_state == "unknown"
    assert len(runs(gateway)) == 1


def test_without_a_connection_a_stream_has_not_started() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with Inference(address=address) as client, pytest.raises(UnavailableError) as caught:
            client.run_stream(app="kv").finish()
    assert caught.value.run_state == "not_started"


def test_the_deadline_is_that_of_the_whole_stream(client: Inference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    stream = client.run_stream(app="kv", timeout=0.5)
    assert next(stream) == {}
    with pytest.raises(DeadlineExceededError) as caught:
        next(stream)
    assert caught.value.run_state == "unknown"
    assert script.cancelled.wait(WAIT)


async def test_time_counts_from_the_first_step(
    async_client: AsyncInference, script: StreamScript, clock: FakeClock
) -> None:
    script.play(result())
    stream = async_client.run_stream(app="kv", timeout=WAIT)
    clock.advance(2 * WAIT)
    await stream.finish()


async def test_a_stream_is_sent_again_while_the_gateway_drains(
    gateway: ScriptedGateway, async_client: AsyncInference, script: StreamScript, clock: FakeClock
) -> None:
    script.play(drain)
    script.play(drain)
    script.play(partial('{"n": 1}'), result())
    outputs = asyncio.create_task(collected(async_client))
    for _ in range(2):
        await asyncio.to_thread(clock.wait_for_sleep, 3)
        clock.advance(3)
    assert await outputs == [{"n": 1}]
    first, second, third = runs(gateway)
    assert first == second == third


async def collected(client: AsyncInference) -> list[Any]:
    return [output async for output in client.run_stream({"app": "kv", "input": {"a": 1}})]


def test_a_stream_that_has_begun_is_not_sent_again(
    gateway: ScriptedGateway, client: Inference, script: StreamScript
) -> None:
    script.play(partial("{}"), drain)
    with pytest.raises(GatewayDrainingError):
        list(client.run_stream(app="kv"))
    assert len(runs(gateway)) == 1
