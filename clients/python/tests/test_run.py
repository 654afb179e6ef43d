"""A run sends what the caller wrote, once, and returns what the app answered."""

import asyncio
import json
import socket
import threading
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, struct_pb2
from pydantic import BaseModel, RootModel

from sessiongateway import (
    AsyncInference,
    DeadlineExceededError,
    GatewayDrainingError,
    Inference,
    SessionGatewayError,
    UnavailableError,
)
from sessiongateway._pacing import Pacing
from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.sdk.clock import FakeClock
from tests.sdk.scripted import WAIT, ScriptedGateway, abort

DRAINING = errors_pb2.ErrorDetail(
    code=errors_pb2.ERROR_CODE_GATEWAY_DRAINING,
    run_state=errors_pb2.RUN_STATE_NOT_STARTED,
    retry_after=duration_pb2.Duration(seconds=3),
)
UNAVAILABLE = errors_pb2.ErrorDetail(
    code=errors_pb2.ERROR_CODE_STORE_UNAVAILABLE,
    run_state=errors_pb2.RUN_STATE_NOT_STARTED,
    retry_after=duration_pb2.Duration(seconds=3),
)


class Point(BaseModel):
    x: float
    name: str = "p"


@pytest.fixture(autouse=True)
def echo(gateway: ScriptedGateway) -> None:
    async def run(request: Any, context: Any) -> sessions_pb2.RunResponse:
        session = sessions_pb2.Session(id="sess_1", call_count=1) if request.session else None
        return sessions_pb2.RunResponse(
            session_id="sess_1" if request.session else "",
            output_json=request.input_json,
            call_id="call_1",
            session=session,
        )

    gateway.on("Run", run)


def sent(gateway: ScriptedGateway) -> sessions_pb2.RunRequest:
    (request,) = gateway.received["Run"]
    assert isinstance(request, sessions_pb2.RunRequest)
    return request


def test_every_field_reaches_the_gateway(gateway: ScriptedGateway, client: Inference) -> None:
    fields = {"app": "kv@1", "function": "get", "session": "new", "worker_id": "w", "request_id": "r"}
    client.run({**fields, "session_timeout": 300, "input": {"k": "v"}})
    expected = sessions_pb2.RunRequest(**fields, session_timeout=300, input_json=b'{"k":"v"}')  # type: ignore[arg-type]
    assert sent(gateway) == expected


def test_keyword_arguments_complete_and_override_the_dict(gateway: ScriptedGateway, client: Inference) -> None:
    client.run({"app": "kv", "session": "sess_old", "input": {}}, session="new", function="f")
    request = sent(gateway)
    assert (request.app, request.session, request.function) == ("kv", "new", "f")


def test_keyword_arguments_alone_suffice(gateway: ScriptedGateway, client: Inference) -> None:
    client.run(app="kv")
    assert sent(gateway).app == "kv"


def test_a_field_that_is_none_counts_as_left_out(gateway: ScriptedGateway, client: Inference) -> None:
    client.run({"app": "kv", "session": None, "session_timeout": None, "input": None})
    assert sent(gateway) == sessions_pb2.RunRequest(app="kv", input_json=b"{}")


def test_a_timeout_of_zero_is_sent_for_the_gateway_to_refuse(gateway: ScriptedGateway, client: Inference) -> None:
    client.run({"app": "kv", "session": "new", "session_timeout": 0})
    assert sent(gateway).HasField("session_timeout")


def test_a_run_without_input_sends_an_empty_object_so_that_the_answer_is_exact(
    gateway: ScriptedGateway, client: Inference
) -> None:
    assert client.run({"app": "kv"}).output == {}
    assert sent(gateway).input_json == b"{}"


def test_the_answer_is_a_dict_and_has_attributes(client: Inference) -> None:
    result = client.run({"app": "kv", "session": "new", "input": {"a": 1}})
    assert result["session_id"] == result.session_id == "sess_1"
    assert result["output"] == result.output == {"a": 1}
    assert result.call_id == "call_1"
    assert result.session is not None
    assert result.session.call_count == 1


def test_a_run_without_a_session_has_an_empty_session_id(client: Inference) -> None:
    result = client.run({"app": "kv"})
    assert (result.session_id, result.session) == ("", None)


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        -(2**63),
        10**300,
        0.1,
        "Grüße, 世界 🎉",
        '\u2028\x00\\"',
        "https://example.org/a.png",
        "/etc/passwd",
        "data:image/png;base64,AAAA",
        [None, True, {"": []}],
    ],
)
def test_values_come_back_as_they_were_sent(client: Inference, value: Any) -> None:
    output = client.run({"app": "kv", "input": {"value": value}}).output
    assert output == {"value": value}
    assert type(output["value"]) is type(value)


def test_text_goes_over_the_wire_as_utf_8(gateway: ScriptedGateway, client: Inference) -> None:
    client.run({"app": "kv", "input": {"ключ": "世"}})
    assert sent(gateway).input_json == '{"ключ":"世"}'.encode()


def test_pydantic_models_are_sent_as_their_fields(gateway: ScriptedGateway, client: Inference) -> None:
    client.run({"app": "kv", "input": Point(x=1.5)})
    client.run({"app": "kv", "input": {"points": [Point(x=2)]}})
    assert [json.loads(request.input_json) for request in gateway.received["Run"]] == [
        {"x": 1.5, "name": "p"},
        {"points": [{"x": 2.0, "name": "p"}]},
    ]


def test_an_answer_in_the_other_form_is_read_too(gateway: ScriptedGateway, client: Inference) -> None:
    output = struct_pb2.Struct()
    output.update({"n": 3, "items": [True, None, "x"]})
    gateway.answer("Run", sessions_pb2.RunResponse(output=output))
    assert client.run({"app": "kv"}).output == {"n": 3, "items": [True, None, "x"]}


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"app": "kv", "sesion": "new"}, TypeError, "'sesion' (did you mean 'session'?)"),
        ({"app": "kv", "zzz": 1, "yyy": 2}, TypeError, "'zzz', 'yyy'"),
        ({"app": "kv", "zzz": None}, TypeError, "'zzz'"),
        ({}, ValueError, "'app'"),
        ({"app": 3}, TypeError, "'app' must be str, not int"),
        ({"app": "kv", "session_timeout": "60"}, TypeError, "'session_timeout' must be int, not str"),
        ({"app": "kv", "session_timeout": 1.5}, TypeError, "'session_timeout' must be int, not float"),
        ({"app": "kv", "session_timeout": True}, TypeError, "'session_timeout' must be int, not bool"),
        ({"app": "kv", "session_timeout": 2**31}, ValueError, "out of range"),
        ({"app": "kv", "input": [1]}, TypeError, "must be a JSON object (a dict), not list"),
        ({"app": "kv", "input": "{}"}, TypeError, "must be a JSON object (a dict), not str"),
        ({"app": "kv", "input": Point}, TypeError, "must be a JSON object"),
        ({"app": "kv", "input": RootModel[list[int]]([1])}, TypeError, "must be a JSON object (a dict), not list"),
        ({"app": "kv", "input": {"a": float("nan")}}, ValueError, "JSON"),
        ({"app": "kv", "input": {"a": [float("-inf")]}}, ValueError, "JSON"),
        ({"app": "kv", "input": Point(x=float("nan"))}, ValueError, "JSON"),
        ({"app": "kv", "input": {"a": b"bytes"}}, TypeError, "bytes"),
        ({"app": "kv", "input": {"a": "\ud800"}}, ValueError, "not Unicode"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_sent(
    gateway: ScriptedGateway, client: Inference, fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        client.run(fields)
    assert words in str(caught.value)
    assert not isinstance(caught.value, SessionGatewayError)
    assert gateway.received == {}


def test_input_that_is_too_deep_or_holds_itself_is_refused(gateway: ScriptedGateway, client: Inference) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    cycle: dict[str, Any] = {}
    cycle["a"] = cycle
    for value in (deep, cycle):
        with pytest.raises(ValueError, match="input"):
            client.run({"app": "kv", "input": value})
    assert gateway.received == {}
    while deep:  # Taken apart from the outside, so that its end does not recurse.
        deep = deep.pop("a")


def test_an_output_that_is_not_json_says_that_the_call_ran(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse(session_id="s", call_id="c", output_json=b"{"))
    with pytest.raises(SessionGatewayError) as caught:
        client.run({"app": "kv"})
    error = caught.value
    assert (error.code, error.run_state, error.session_id, error.call_id) == ("INVALID_RESPONSE", "completed", "s", "c")


def test_answers_of_many_mebibytes_are_received(gateway: ScriptedGateway, client: Inference) -> None:
    big = json.dumps({"a": "x" * (20 * 2**20)}).encode()
    gateway.answer("Run", sessions_pb2.RunResponse(output_json=big))
    assert len(client.run({"app": "kv"}).output["a"]) == 20 * 2**20


def test_the_api_key_is_sent_as_a_bearer_token(gateway: ScriptedGateway, pacing: Pacing) -> None:
    with Inference("secret-1", gateway.address, pacing=pacing) as client:
        client.run({"app": "kv"})
        assert "secret-1" not in repr(client)
    assert gateway.metadata["Run"]["authorization"] == "Bearer secret-1"


def test_key_and_address_come_from_the_environment(gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGW_ADDRESS", gateway.address)
    monkeypatch.setenv("SGW_API_KEY", "secret-2")
    with Inference() as client:
        client.run({"app": "kv"})
    assert gateway.metadata["Run"]["authorization"] == "Bearer secret-2"


def test_the_default_address_is_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SGW_ADDRESS", raising=False)
    assert repr(AsyncInference()) == "AsyncInference(address='127.0.0.1:50151')"


def test_a_key_that_cannot_be_sent_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        AsyncInference("secret-3\n")
    assert "secret-3" not in str(caught.value)


def test_a_proxy_is_not_used_for_loopback(gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Inference(address=gateway.address, timeout=WAIT) as client:
        assert client.run({"app": "kv"}).output == {}


def test_a_run_is_sent_once_when_the_gateway_answers_unavailable(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.fail("Run", grpc.StatusCode.UNAVAILABLE, "some proxy says so")
    with pytest.raises(UnavailableError) as caught:
        client.run({"app": "kv"})
    assert caught.value.run_state == "unknown"
    assert len(gateway.received["Run"]) == 1


async def test_a_run_is_sent_once_when_the_connection_breaks_under_it(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    begun, _ = gateway.hang("Run")
    run = asyncio.create_task(async_client.run({"app": "kv"}))
    assert await asyncio.to_thread(begun.wait, WAIT)
    await asyncio.to_thread(gateway.stop)
    await asyncio.to_thread(gateway.start)
    with pytest.raises(UnavailableError) as caught:
        await run
    assert caught.value.run_state == "unknown"
    gateway.answer("Run", sessions_pb2.RunResponse())
    await async_client.run({"app": "kv"}, timeout=WAIT)
    assert len(gateway.received["Run"]) == 2


def test_without_a_connection_a_run_has_not_started() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with Inference(address=address) as client, pytest.raises(UnavailableError) as caught:
            client.run({"app": "kv"})
    assert caught.value.run_state == "not_started"
    assert address in caught.value.message


def test_a_deadline_that_passes_while_connecting_says_that_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Inference(address=address, timeout=0.05) as client, pytest.raises(DeadlineExceededError) as caught:
            client.run({"app": "kv"})
    assert caught.value.run_state == "not_started"


def test_a_deadline_that_passes_during_the_run_cancels_it(gateway: ScriptedGateway, client: Inference) -> None:
    client.run({"app": "kv"})
    _, cancelled = gateway.hang("Run")
    with pytest.raises(DeadlineExceededError) as caught:
        client.run({"app": "kv"}, timeout=0.05)
    assert caught.value.run_state == "unknown"
    assert cancelled.wait(WAIT)


async def test_cancelling_the_task_cancels_the_run(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    begun, cancelled = gateway.hang("Run")
    run = asyncio.create_task(async_client.run({"app": "kv"}))
    assert await asyncio.to_thread(begun.wait, WAIT)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await asyncio.to_thread(cancelled.wait, WAIT)


async def test_a_run_that_closing_the_client_cuts_off_raises_an_error_of_its_own(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    begun, cancelled = gateway.hang("Run")
    run = asyncio.create_task(async_client.run({"app": "kv"}))
    assert await asyncio.to_thread(begun.wait, WAIT)
    await async_client.close()
    with pytest.raises(SessionGatewayError) as caught:
        await run
    assert (caught.value.code, caught.value.run_state) == ("CANCELLED", "unknown")
    assert await asyncio.to_thread(cancelled.wait, WAIT)
    with pytest.raises(RuntimeError, match="closed"):
        await async_client.run({"app": "kv"})


class Draining:
    """Answers with an error that passes so many times, then normally."""

    def __init__(self, times: int, detail: errors_pb2.ErrorDetail = DRAINING) -> None:
        self.left = times
        self._detail = detail

    async def __call__(self, request: Any, context: Any) -> sessions_pb2.RunResponse:
        if self.left:
            self.left -= 1
            await abort(context, grpc.StatusCode.UNAVAILABLE, "not now", self._detail)
        return sessions_pb2.RunResponse(call_id="done")


async def test_a_run_is_sent_again_when_the_gateway_drains(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    gateway.on("Run", Draining(times=2))
    run = asyncio.create_task(async_client.run({"app": "kv", "input": {"a": 1}}))
    for _ in range(2):
        await asyncio.to_thread(clock.wait_for_sleep, 3)
        clock.advance(3)
    assert (await run).call_id == "done"
    first, second, third = gateway.received["Run"]
    assert first == second == third


async def test_a_gateway_that_drains_for_ever_is_given_up(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    gateway.on("Run", Draining(times=100))
    run = asyncio.create_task(async_client.run({"app": "kv"}))
    for _ in range(3):
        await asyncio.to_thread(clock.wait_for_sleep, 3)
        clock.advance(3)
    with pytest.raises(GatewayDrainingError) as caught:
        await run
    assert (caught.value.run_state, caught.value.retry_after) == ("not_started", 3)
    assert len(gateway.received["Run"]) == 4


async def test_a_run_is_sent_again_when_the_store_is_unavailable_which_passes(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    gateway.on("Run", Draining(times=2, detail=UNAVAILABLE))
    run = asyncio.create_task(async_client.run({"app": "kv"}))
    for _ in range(2):
        await asyncio.to_thread(clock.wait_for_sleep, 3)
        clock.advance(3)
    assert (await run).call_id == "done"
    assert len(gateway.received["Run"]) == 3


def test_a_drained_run_does_not_wait_beyond_the_deadline(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.on("Run", Draining(times=1))
    with pytest.raises(GatewayDrainingError):
        client.run({"app": "kv"}, timeout=2)
    assert len(gateway.received["Run"]) == 1


def test_many_threads_share_a_client(gateway: ScriptedGateway, client: Inference) -> None:
    outputs: list[int] = []

    def work(number: int) -> None:
        outputs.append(client.run({"app": "kv", "input": {"n": number}}).output["n"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(outputs) == list(range(20))
