"""A session handle opens with its first call, stays with its app and version, and ends when its block is left."""

import asyncio
import threading
from typing import Any

import grpc
import pytest

from sessiongateway import (
    AppError,
    AsyncInference,
    DeadlineExceededError,
    Inference,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    UnauthenticatedError,
    UnavailableError,
)
from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.sdk.clock import FakeClock
from tests.sdk.scripted import WAIT, KeepaliveScript, ScriptedGateway, abort

NOT_FOUND = errors_pb2.ErrorDetail(code=errors_pb2.ERROR_CODE_SESSION_NOT_FOUND)
EXPIRED = errors_pb2.ErrorDetail(
    code=errors_pb2.ERROR_CODE_SESSION_EXPIRED,
    message="too late",
    session_id="sess_1",
    end_reason=errors_pb2.END_REASON_IDLE_TIMEOUT,
)
APP_ERROR = errors_pb2.ErrorDetail(code=errors_pb2.ERROR_CODE_APP_ERROR)


class Sessions:
    """Opens sess_1, sess_2, ... of version v1, and echoes."""

    def __init__(self) -> None:
        self.opened = 0

    async def run(self, request: Any, context: Any) -> sessions_pb2.RunResponse:
        session_id = request.session
        if session_id == "new":
            self.opened += 1
            session_id = f"sess_{self.opened}"
        session = sessions_pb2.Session(
            id=session_id, app="kv", version="v1", session_timeout=60, status=sessions_pb2.SESSION_STATUS_ACTIVE
        )
        return sessions_pb2.RunResponse(session_id=session_id, output_json=request.input_json, session=session)

    async def end(self, request: Any, context: Any) -> sessions_pb2.EndSessionResponse:
        session = sessions_pb2.Session(id=request.session_id, status=sessions_pb2.SESSION_STATUS_ENDED)
        return sessions_pb2.EndSessionResponse(session=session)


@pytest.fixture(autouse=True)
def sessions(gateway: ScriptedGateway) -> Sessions:
    script = Sessions()
    gateway.on("Run", script.run)
    gateway.on("EndSession", script.end)
    return script


def ended(gateway: ScriptedGateway) -> list[str]:
    return [request.session_id for request in gateway.received.get("EndSession", [])]


def test_the_first_call_opens_the_session_and_leaving_the_block_ends_it(
    gateway: ScriptedGateway, client: Inference
) -> None:
    with client.session("kv", session_timeout=300) as session:
        assert (session.id, session.info, gateway.received) == (None, None, {})
        assert session.call({"action": "init"}).output == {"action": "init"}
        assert session.id == "sess_1"
        assert session.info is not None
        assert session.info.status == "active"
        session.call("get", {"key": 1})
        session.call("keys")
        assert ended(gateway) == []
    assert ended(gateway) == ["sess_1"]
    assert session.info.status == "ended"
    assert gateway.received["Run"] == [
        sessions_pb2.RunRequest(app="kv", session="new", session_timeout=300, input_json=b'{"action":"init"}'),
        sessions_pb2.RunRequest(app="kv@v1", session="sess_1", function="get", input_json=b'{"key":1}'),
        sessions_pb2.RunRequest(app="kv@v1", session="sess_1", function="keys", input_json=b"{}"),
    ]


async def test_the_async_handle_does_the_same(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    async with async_client.session("kv@v1") as session:
        await session.call({"action": "init"})
        await session.call("get", {"key": 1}, request_id="r1")
    assert ended(gateway) == ["sess_1"]
    assert [request.session for request in gateway.received["Run"]] == ["new", "sess_1"]
    assert gateway.received["Run"][1].request_id == "r1"


def test_a_handle_that_was_never_called_sends_nothing(gateway: ScriptedGateway, client: Inference) -> None:
    with client.session("kv"):
        pass
    assert gateway.received == {}


def test_the_session_ends_also_after_an_exception(gateway: ScriptedGateway, client: Inference) -> None:
    with pytest.raises(KeyError), client.session("kv") as session:
        session.call({})
        raise KeyError("mine")
    assert ended(gateway) == ["sess_1"]


def test_the_bodys_exception_wins_over_one_while_ending(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.fail("EndSession", grpc.StatusCode.INTERNAL, "broken")
    with pytest.raises(KeyError) as caught, client.session("kv") as session:
        session.call({})
        raise KeyError("mine")
    assert caught.value.__notes__ == ["Besides, the session sess_1 could not be ended: INTERNAL: broken"]


def test_a_failure_to_end_is_raised_when_the_body_went_well(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.fail("EndSession", grpc.StatusCode.INTERNAL, "broken")
    with pytest.raises(SessionGatewayError, match="broken"), client.session("kv") as session:
        session.call({})


def test_leaving_after_the_session_is_gone_is_fine(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.fail("EndSession", grpc.StatusCode.NOT_FOUND, "gone", NOT_FOUND)
    with client.session("kv") as session:
        session.call({})
    assert ended(gateway) == ["sess_1"]


def test_leaving_does_not_wait_for_ever(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.hang("EndSession")
    with pytest.raises(DeadlineExceededError), client.session("kv", timeout=0.05) as session:
        session.call({}, timeout=WAIT)


def test_a_handle_can_be_ended_early_and_is_then_closed(gateway: ScriptedGateway, client: Inference) -> None:
    with client.session("kv") as session:
        session.call({})
        info = session.end()
        assert info is not None
        assert info.status == "ended"
        with pytest.raises(RuntimeError, match="closed"):
            session.call({})
    assert ended(gateway) == ["sess_1"]
    assert len(gateway.received["Run"]) == 1


def test_a_finished_session_is_not_replaced(gateway: ScriptedGateway, client: Inference, sessions: Sessions) -> None:
    with client.session("kv") as session:
        session.call({})
        gateway.fail("Run", grpc.StatusCode.FAILED_PRECONDITION, "over", EXPIRED)
        for _ in range(2):
            with pytest.raises(SessionExpiredError):
                session.call({})
        assert session.id == "sess_1"
    assert sessions.opened == 1


def test_after_a_first_call_that_failed_the_next_one_is_the_first(
    gateway: ScriptedGateway, client: Inference, sessions: Sessions
) -> None:
    gateway.fail("Run", grpc.StatusCode.UNKNOWN, "raised", APP_ERROR)
    with client.session("kv") as session:
        with pytest.raises(AppError):
            session.call({})
        gateway.on("Run", sessions.run)
        assert session.call({}).session_id == session.id == "sess_1"
    assert [request.session for request in gateway.received["Run"]] == ["new", "new"]


async def test_calls_that_come_while_the_session_opens_wait_for_it(
    gateway: ScriptedGateway, async_client: AsyncInference, sessions: Sessions
) -> None:
    async with async_client.session("kv") as session:
        results = await asyncio.gather(*[session.call({"n": n}) for n in range(5)])
    assert [result.output["n"] for result in results] == list(range(5))
    assert {result.session_id for result in results} == {"sess_1"}
    assert sessions.opened == 1


async def test_waiting_for_the_session_to_open_obeys_the_calls_own_deadline(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    begun, _ = gateway.hang("Run")
    session = async_client.session("kv")
    opening = asyncio.create_task(session.call({}))
    assert await asyncio.to_thread(begun.wait, WAIT)
    with pytest.raises(DeadlineExceededError) as caught:
        await session.call({}, timeout=0.01)
    assert caught.value.run_state == "not_started"
    assert len(gateway.received["Run"]) == 1
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)


@pytest.mark.parametrize("ending", ["ends", "fails to end"])
async def test_a_session_that_opens_after_its_block_was_left_is_ended_at_once_and_the_call_has_its_answer(
    gateway: ScriptedGateway, async_client: AsyncInference, sessions: Sessions, ending: str
) -> None:
    if ending == "fails to end":
        gateway.fail("EndSession", grpc.StatusCode.INTERNAL, "broken")
    begun, go = threading.Event(), asyncio.Event()

    async def slow(request: Any, context: Any) -> Any:
        begun.set()
        await go.wait()
        return await sessions.run(request, context)

    gateway.on("Run", slow)
    async with async_client.session("kv") as session:
        opening = asyncio.create_task(session.call({}))
        assert await asyncio.to_thread(begun.wait, WAIT)
    assert ended(gateway) == []
    gateway.loop.call_soon_threadsafe(go.set)
    assert (await opening).session_id == "sess_1"
    assert ended(gateway) == ["sess_1"]


@pytest.mark.parametrize("arguments", [({"a": 1}, {"b": 2}), (None, {"b": 2}), ({"a": 1}, "f")])
def test_two_inputs_are_refused(gateway: ScriptedGateway, client: Inference, arguments: Any) -> None:
    with client.session("kv") as session, pytest.raises(TypeError):
        session.call(*arguments)
    assert gateway.received == {}


async def test_keepalive_renews_the_session_at_a_third_of_its_timeout_until_it_ends(
    gateway: ScriptedGateway, keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive["sess_1"] = 60
    async with async_client.session("kv", keepalive=True) as session:
        await session.call({})
        for _ in range(3):
            assert await asyncio.to_thread(keepalives.next_asked) == ["sess_1"]
            await asyncio.to_thread(clock.wait_for_sleep, 20)
            clock.advance(20)
        assert await asyncio.to_thread(keepalives.next_asked) == ["sess_1"]
    assert await asyncio.to_thread(keepalives.closed.get, timeout=WAIT) == 1
    assert keepalives.asked.empty()


async def test_the_sessions_of_a_client_share_one_stream(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive |= {"sess_1": 60, "sess_2": 60}
    async with (
        async_client.session("kv", keepalive=True) as first,
        async_client.session("kv", keepalive=True) as second,
    ):
        await first.call({})
        assert await asyncio.to_thread(keepalives.next_asked) == ["sess_1"]
        await second.call({})
        assert await asyncio.to_thread(keepalives.next_asked) == ["sess_2"]
        await asyncio.to_thread(clock.wait_for_sleep, 20)
        clock.advance(20)
        assert await asyncio.to_thread(keepalives.next_asked) == ["sess_1", "sess_2"]
    assert keepalives.opened.qsize() == 1


def lost(keepalives: KeepaliveScript, detail: errors_pb2.ErrorDetail) -> None:
    keepalives.push(sessions_pb2.StreamKeepaliveResponse(session_id="sess_1", error=detail))


def test_a_lost_session_is_told_at_once_and_by_the_next_call(
    gateway: ScriptedGateway, keepalives: KeepaliveScript, client: Inference
) -> None:
    keepalives.alive["sess_1"] = 60
    told, heard = [], threading.Event()

    def on_lost(error: SessionGatewayError) -> None:
        told.append(error)
        heard.set()

    with client.session("kv", keepalive=True, on_lost=on_lost) as session:
        session.call({})
        keepalives.next_asked()
        lost(keepalives, EXPIRED)
        assert heard.wait(WAIT)
        for _ in range(2):
            with pytest.raises(SessionExpiredError, match="too late") as caught:
                session.call({})
            assert (caught.value.run_state, caught.value.end_reason) == ("not_started", "idle_timeout")
    assert [type(error) for error in told] == [SessionExpiredError]
    assert len(gateway.received["Run"]) == 1


async def test_closing_the_client_ends_the_renewals_and_is_not_told_as_a_loss(
    keepalives: KeepaliveScript, async_client: AsyncInference, caplog: pytest.LogCaptureFixture
) -> None:
    keepalives.alive["sess_1"] = 60
    told: list[SessionGatewayError] = []
    session = async_client.session("kv", keepalive=True, on_lost=told.append)
    await session.call({})
    await asyncio.to_thread(keepalives.next_asked)
    await async_client.close()
    assert await asyncio.to_thread(keepalives.closed.get, timeout=WAIT) == 1
    assert [task for task in asyncio.all_tasks() if task.get_name() == "sessiongateway-keepalive"] == []
    assert (told, caplog.records) == ([], [])


def test_a_callback_that_fails_harms_nobody(
    keepalives: KeepaliveScript, client: Inference, caplog: pytest.LogCaptureFixture
) -> None:
    keepalives.alive |= {"sess_1": 60, "sess_2": 60}
    heard = threading.Event()

    def on_lost(error: SessionGatewayError) -> None:
        heard.set()
        raise KeyError("callback")

    with (
        client.session("kv", keepalive=True, on_lost=on_lost) as first,
        client.session("kv", keepalive=True) as second,
    ):
        first.call({})
        second.call({})
        while keepalives.next_asked() != ["sess_2"]:
            pass
        lost(keepalives, EXPIRED)
        assert heard.wait(WAIT)
        assert second.call({"a": 1}).output == {"a": 1}
        with pytest.raises(SessionExpiredError):
            first.call({})
    assert "on_lost of session sess_1 failed" in caplog.text


def test_a_callback_cannot_block_its_own_client(keepalives: KeepaliveScript, client: Inference) -> None:
    keepalives.alive["sess_1"] = 60
    heard = threading.Event()
    refusals: list[str] = []

    def on_lost(error: SessionGatewayError) -> None:
        try:
            client.sessions.get("sess_1")
        except RuntimeError as refusal:
            refusals.append(str(refusal))
        heard.set()

    with client.session("kv", keepalive=True, on_lost=on_lost) as session:
        session.call({})
        keepalives.next_asked()
        lost(keepalives, EXPIRED)
        assert heard.wait(WAIT)
    assert refusals == ["a synchronous client cannot be used from its own callbacks"]


def test_keepalive_that_the_gateway_refuses_is_surfaced(keepalives: KeepaliveScript, client: Inference) -> None:
    detail = errors_pb2.ErrorDetail(code=errors_pb2.ERROR_CODE_UNAUTHENTICATED)
    keepalives.refusals.append((grpc.StatusCode.UNAUTHENTICATED, (detail,)))
    heard = threading.Event()
    with client.session("kv", keepalive=True, on_lost=lambda error: heard.set()) as session:
        session.call({})
        assert heard.wait(WAIT)
        with pytest.raises(UnauthenticatedError):
            session.call({})


def test_calls_can_fail_without_the_session_being_given_up(
    gateway: ScriptedGateway, client: Inference, sessions: Sessions
) -> None:
    with client.session("kv") as session:
        session.call({})
        gateway.fail("Run", grpc.StatusCode.UNAVAILABLE, "cut")
        with pytest.raises(UnavailableError):
            session.call({})
        gateway.on("Run", sessions.run)
        assert session.call({"a": 1}).session_id == "sess_1"


async def test_a_call_that_is_cut_off_by_the_end_says_so(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    begun = threading.Event()
    detail = errors_pb2.ErrorDetail(
        code=errors_pb2.ERROR_CODE_SESSION_ENDED,
        run_state=errors_pb2.RUN_STATE_UNKNOWN,
        end_reason=errors_pb2.END_REASON_CALLER,
    )
    async with async_client.session("kv") as session:
        await session.call({})
        released = asyncio.Event()

        async def cut_off(request: Any, context: Any) -> None:
            begun.set()
            await released.wait()
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, "ended", detail)

        gateway.on("Run", cut_off)
        call = asyncio.create_task(session.call({}))
        assert await asyncio.to_thread(begun.wait, WAIT)
        await session.end()
        gateway.loop.call_soon_threadsafe(released.set)
        with pytest.raises(SessionEndedError) as caught:
            await call
    assert (caught.value.run_state, caught.value.end_reason) == ("unknown", "caller")
