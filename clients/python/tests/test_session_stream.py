"""A stream of a session handle is a call like any other: it opens the session, stays in it, and ends with it."""

import asyncio
import threading
from typing import Any

import grpc
import pytest

from sessiongateway import AsyncInference, DeadlineExceededError, Inference, SessionGatewayError
from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.sdk.scripted import WAIT, ScriptedGateway, abort
from tests.sdk.streams import StreamScript, partial, result


@pytest.fixture(autouse=True)
def calls(gateway: ScriptedGateway) -> None:
    async def run(request: Any, context: Any) -> sessions_pb2.RunResponse:
        session_id = "sess_2" if request.session == "new" else request.session
        session = sessions_pb2.Session(id=session_id, app="kv", version="v1", session_timeout=60)
        return sessions_pb2.RunResponse(session_id=session_id, output_json=b"{}", session=session)

    gateway.on("Run", run)
    gateway.answer("EndSession", sessions_pb2.EndSessionResponse())


def sent(gateway: ScriptedGateway, method: str) -> list[Any]:
    return gateway.received.get(method, [])


def test_the_first_stream_opens_the_session_which_is_known_with_its_result(
    gateway: ScriptedGateway, client: Inference, script: StreamScript
) -> None:
    script.play(partial('{"n": 1}'), result("{}", "sess_1"))
    with client.session("kv", session_timeout=300) as session:
        stream = session.stream("count", {"steps": 1})
        assert next(stream) == {"n": 1}
        before = session.id
        assert (stream.finish().session_id, before, session.id) == ("sess_1", None, "sess_1")
        session.call("keys", expected_call_count=1)
        list(session.stream({"steps": 2}, request_id="r", expected_call_count=2))
    opening = sessions_pb2.RunRequest(
        app="kv", session="new", session_timeout=300, function="count", input_json=b'{"steps":1}'
    )
    later = sessions_pb2.RunRequest(
        app="kv@v1", session="sess_1", request_id="r", expected_call_count=2, input_json=b'{"steps":2}'
    )
    call = sessions_pb2.RunRequest(
        app="kv@v1", session="sess_1", function="keys", expected_call_count=1, input_json=b"{}"
    )
    assert (sent(gateway, "RunStream"), sent(gateway, "Run")) == ([opening, later], [call])
    assert [request.session_id for request in sent(gateway, "EndSession")] == ["sess_1"]


def test_what_cannot_be_sent_is_refused_at_once(client: Inference) -> None:
    session = client.session("kv")
    with pytest.raises(TypeError, match="before the input"):
        session.stream({}, {})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="must be a JSON object"):
        session.stream("count", [1])


def test_a_closed_handle_refuses_a_stream_with_its_first_step(
    gateway: ScriptedGateway, client: Inference, script: StreamScript
) -> None:
    session = client.session("kv")
    stream = session.stream("count")
    session.end()
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="closed"):
        next(session.stream("count"))
    assert sent(gateway, "RunStream") == []


def test_after_a_first_stream_that_fails_the_next_call_is_the_first(
    gateway: ScriptedGateway, client: Inference, script: StreamScript
) -> None:
    async def fail(context: Any) -> None:
        detail = errors_pb2.ErrorDetail(code=errors_pb2.ERROR_CODE_APP_ERROR)
        await abort(context, grpc.StatusCode.UNKNOWN, "it raised", detail)

    script.play(partial("{}"), fail)
    with client.session("kv") as session:
        with pytest.raises(SessionGatewayError):
            list(session.stream("count"))
        session.call("keys")
        assert session.id == "sess_2"


async def test_calls_wait_for_a_stream_that_opens_the_session(
    gateway: ScriptedGateway, async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(partial("{}"), script.hold, result("{}", "sess_1"))
    async with async_client.session("kv") as session:
        reader = asyncio.create_task(session.stream("count").finish())
        assert await asyncio.to_thread(script.held.wait, WAIT)
        with pytest.raises(DeadlineExceededError) as caught:
            await session.call("keys", timeout=0.01)
        assert caught.value.run_state == "not_started"
        call = asyncio.create_task(session.call("keys"))
        script.release()
        await reader
        assert (await call).session_id == "sess_1"


async def test_a_call_by_the_very_reader_of_the_opening_stream_is_refused_rather_than_hung(
    gateway: ScriptedGateway, async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(partial("{}"), script.hold)
    async with async_client.session("kv") as session:
        stream = session.stream("count")
        async for _ in stream:
            with pytest.raises(RuntimeError, match="read it to its end, or close it"):
                await session.call("keys")
            break
        await stream.aclose()
        assert (await session.call("keys")).session_id == "sess_2"


def test_the_same_holds_for_a_thread_and_not_for_another_one(client: Inference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold, result("{}", "sess_1"))
    outcome: list[str] = []
    with client.session("kv") as session:
        stream = session.stream("count")
        next(stream)
        with pytest.raises(RuntimeError, match="read it to its end, or close it"):
            session.call("keys")
        other = threading.Thread(target=lambda: outcome.append(session.call("keys").session_id))
        other.start()
        script.release()
        stream.finish()
        other.join(WAIT)
    assert outcome == ["sess_1"]


async def test_leaving_the_block_closes_a_stream_that_has_not_opened_the_session_yet(
    gateway: ScriptedGateway, async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(partial("{}"), script.hold)
    async with async_client.session("kv") as session:
        stream = session.stream("count")
        await anext(stream)
        assert await asyncio.to_thread(script.held.wait, WAIT)
    assert await asyncio.to_thread(script.cancelled.wait, WAIT)
    assert sent(gateway, "EndSession") == []


async def test_a_dropped_stream_gives_the_turn_back(async_client: AsyncInference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    async with async_client.session("kv") as session:
        async for _ in session.stream("count"):
            break
        assert (await session.call("keys", timeout=WAIT)).session_id == "sess_2"


def test_a_dropped_stream_gives_the_turn_back_to_its_thread_too(client: Inference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    with client.session("kv") as session:
        for _ in session.stream("count"):
            break
        assert session.call("keys", timeout=WAIT).session_id == "sess_2"
