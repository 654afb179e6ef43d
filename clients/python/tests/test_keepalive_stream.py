"""A keepalive stream renews many sessions, survives broken connections, and tells of every loss."""

import asyncio
import threading
from collections.abc import Callable

import grpc
import pytest
from google.protobuf import duration_pb2

from sessiongateway import (
    AsyncInference,
    AsyncKeepaliveStream,
    Inference,
    InvalidRequestError,
    KeepaliveEvent,
    SessionEndedError,
    SessionExpiredError,
)
from sessiongateway._pacing import Backoff, Pacing
from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.sdk.clock import FakeClock
from tests.sdk.scripted import WAIT, KeepaliveScript, ScriptedGateway

EXPIRED = errors_pb2.ErrorDetail(code=errors_pb2.ERROR_CODE_SESSION_EXPIRED, session_id="dead")
ENDED = errors_pb2.ErrorDetail(
    code=errors_pb2.ERROR_CODE_SESSION_ENDED, end_reason=errors_pb2.END_REASON_WORKER_LOST, message="it died"
)


async def within(wait: Callable[[], object]) -> object:
    """Wait for something that blocks a thread."""
    return await asyncio.to_thread(wait)


async def asked(keepalives: KeepaliveScript) -> list[str]:
    return await asyncio.to_thread(keepalives.next_asked)


async def sleep_through(clock: FakeClock, seconds: float) -> None:
    """Wait until the client sleeps for so long, then let the time pass."""
    await asyncio.to_thread(clock.wait_for_sleep, seconds)
    clock.advance(seconds)


async def news(stream: AsyncKeepaliveStream, count: int) -> dict[str, KeepaliveEvent]:
    events = [await asyncio.wait_for(anext(stream), WAIT) for _ in range(count)]
    return {event.session_id: event for event in events}


async def test_a_dead_session_is_told_and_the_live_ones_go_on(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive |= {"a": 90, "b": 24}
    keepalives.errors["dead"] = EXPIRED
    async with async_client.stream_keepalive(["a", "dead", "b"]) as stream:
        events = await news(stream, 3)
        assert isinstance(events["dead"].error, SessionExpiredError)
        assert events["dead"].session is None
        assert (events["a"].error, events["b"].error) == (None, None)
        assert events["a"].session is not None
        assert events["a"].session.id == "a"
        assert sorted(await asked(keepalives)) == ["a", "b", "dead"]
        # A third of the shortest timeout.
        await sleep_through(clock, 8)
        assert sorted(await asked(keepalives)) == ["a", "b"]
        assert set(await news(stream, 2)) == {"a", "b"}
    assert keepalives.opened.qsize() == 1


async def test_while_the_gateways_store_is_unavailable_no_session_is_lost_and_all_are_asked_about_again(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive |= {"a": 60}
    keepalives.errors["b"] = errors_pb2.ErrorDetail(
        code=errors_pb2.ERROR_CODE_STORE_UNAVAILABLE, retry_after=duration_pb2.Duration(seconds=7)
    )
    async with async_client.stream_keepalive(["a", "b"]) as stream:
        assert sorted(await asked(keepalives)) == ["a", "b"]
        await within(lambda: clock.wait_for_sleep(7))  # as long as the gateway asks for
        del keepalives.errors["b"]
        keepalives.alive["b"] = 60
        clock.advance(7)
        assert sorted(await asked(keepalives)) == ["a", "b"]
        renewed: set[str] = set()
        while "b" not in renewed:  # "a" was renewed before, and is again
            (event,) = (await news(stream, 1)).values()
            assert event.error is None
            renewed.add(event.session_id)


async def test_a_session_that_ends_meanwhile_is_told_unasked_with_its_reason(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive |= {"a": 60, "b": 60}
    async with async_client.stream_keepalive(["a", "b"]) as stream:
        await news(stream, 2)
        await asked(keepalives)
        keepalives.push(sessions_pb2.StreamKeepaliveResponse(session_id="a", error=ENDED))
        error = (await news(stream, 1))["a"].error
        assert isinstance(error, SessionEndedError)
        assert (error.message, error.end_reason) == ("it died", "worker_lost")
        await sleep_through(clock, 20)
        assert await asked(keepalives) == ["b"]


async def test_iterating_ends_when_all_are_lost(keepalives: KeepaliveScript, async_client: AsyncInference) -> None:
    keepalives.errors |= {"a": EXPIRED, "b": EXPIRED}
    async with async_client.stream_keepalive(["a", "b"]) as stream:
        assert {event.session_id async for event in stream} == {"a", "b"}
        assert await within(lambda: keepalives.closed.get(timeout=WAIT)) == 1


async def test_renewals_go_on_when_nobody_iterates_and_a_loss_is_not_missed(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive |= {"a": 60, "b": 60}
    async with async_client.stream_keepalive(["a", "b"]) as stream:
        for _ in range(5):
            await asked(keepalives)
            await sleep_through(clock, 20)
        await asked(keepalives)
        keepalives.push(sessions_pb2.StreamKeepaliveResponse(session_id="a", error=ENDED))
        keepalives.errors["b"] = EXPIRED
        await sleep_through(clock, 20)
        await asked(keepalives)
        events = [event async for event in stream]
    assert [(event.session_id, type(event.error)) for event in events if event.error] == [
        ("a", SessionEndedError),
        ("b", SessionExpiredError),
    ]
    assert len(events) <= 3


async def test_a_session_with_fresh_news_goes_behind_those_whose_news_waits(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive |= {"a": 60, "b": 60}
    async with async_client.stream_keepalive(["a", "b"]) as stream:
        ids = await asked(keepalives)
        again = sessions_pb2.Session(id=ids[0], session_timeout=60)
        keepalives.push(sessions_pb2.StreamKeepaliveResponse(session_id=ids[0], session=again))
        keepalives.push(None)
        # By now the client has read all of it.
        await within(lambda: clock.wait_for_sleep(0.05))
        assert list(await news(stream, 2)) == [ids[1], ids[0]]


async def test_a_closed_stream_is_forgotten_by_its_client(
    keepalives: KeepaliveScript, async_client: AsyncInference
) -> None:
    async with async_client.stream_keepalive(["a"]) as stream:
        assert async_client._streams == {stream}
    assert async_client._streams == set()


async def test_a_broken_stream_is_opened_again_with_growing_pauses(
    gateway: ScriptedGateway, keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive["a"] = 60
    async with async_client.stream_keepalive(["a"]) as stream:
        await news(stream, 1)
        await asked(keepalives)
        # Three failures: the first after an answer, so the pauses begin anew.
        keepalives.refusals = [(grpc.StatusCode.UNAVAILABLE, ()), (grpc.StatusCode.INTERNAL, ())]
        keepalives.push(None)
        for pause in (0.05, 0.1, 0.2):
            await sleep_through(clock, pause)
        assert await asked(keepalives) == ["a"]
        assert (await news(stream, 1))["a"].error is None
        assert keepalives.opened.qsize() == 2


async def test_a_gateway_that_comes_back_finds_its_sessions_asked_about_again(
    gateway: ScriptedGateway, keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    keepalives.alive["a"] = 60
    async with async_client.stream_keepalive(["a"]) as stream:
        await news(stream, 1)
        await asked(keepalives)
        await within(gateway.stop)
        await within(lambda: clock.wait_for_sleep(0.05))
        await within(gateway.start)
        keepalives.alive.clear()
        keepalives.errors["a"] = ENDED
        backoff, attempt = Backoff(initial=0.1, maximum=5.0), 0
        while keepalives.asked.empty():
            # gRPC's own pause after a refused connection is in real time, so the number of attempts is not known.
            await sleep_through(clock, backoff.delay(attempt, 0.0))
            attempt += 1
            if await within(lambda: _soon(keepalives)):
                break
        assert isinstance((await news(stream, 1))["a"].error, SessionEndedError)


def _soon(keepalives: KeepaliveScript) -> bool:
    with keepalives.asked.not_empty:
        return keepalives.asked.not_empty.wait(0.5)


async def test_a_gateway_that_stops_answering_is_left_and_asked_anew(
    keepalives: KeepaliveScript, async_client: AsyncInference, clock: FakeClock
) -> None:
    async with async_client.stream_keepalive(["a"]) as stream:
        assert await asked(keepalives) == ["a"]
        keepalives.alive["a"] = 60
        await sleep_through(clock, 10)
        await sleep_through(clock, 0.1)
        assert await asked(keepalives) == ["a"]
        assert (await news(stream, 1))["a"].error is None
    assert keepalives.opened.qsize() == 2


async def test_a_stream_that_is_refused_for_good_loses_all_its_sessions(
    keepalives: KeepaliveScript, async_client: AsyncInference
) -> None:
    detail = errors_pb2.ErrorDetail(code=errors_pb2.ERROR_CODE_INVALID_REQUEST)
    keepalives.refusals = [(grpc.StatusCode.INVALID_ARGUMENT, (detail,))]
    async with async_client.stream_keepalive(["a", "b"]) as stream:
        events = [event async for event in stream]
    assert {event.session_id for event in events} == {"a", "b"}
    assert all(isinstance(event.error, InvalidRequestError) for event in events)


async def test_many_sessions_are_asked_about_in_messages_of_a_thousand(
    keepalives: KeepaliveScript, async_client: AsyncInference
) -> None:
    ids = [f"s{number}" for number in range(2500)]
    keepalives.alive |= dict.fromkeys(ids, 60)
    async with async_client.stream_keepalive(ids) as stream:
        sizes = [len(await asked(keepalives)) for _ in range(3)]
        assert sizes == [1000, 1000, 500]
        assert set(await news(stream, 2500)) == set(ids)


async def test_a_single_id_is_one_session(keepalives: KeepaliveScript, async_client: AsyncInference) -> None:
    keepalives.alive["sess_1"] = 60
    async with async_client.stream_keepalive("sess_1"):
        assert await asked(keepalives) == ["sess_1"]


async def test_closing_the_client_closes_its_streams(keepalives: KeepaliveScript, async_client: AsyncInference) -> None:
    keepalives.alive["a"] = 60
    stream = async_client.stream_keepalive(["a"])
    await news(stream, 1)
    waiting = asyncio.create_task(anext(stream, None))
    await async_client.close()
    assert await asyncio.wait_for(waiting, WAIT) is None
    assert await within(lambda: keepalives.closed.get(timeout=WAIT)) == 1


def test_the_sync_stream_iterates_and_can_be_closed_from_another_thread(
    keepalives: KeepaliveScript, client: Inference
) -> None:
    keepalives.alive["a"] = 60
    keepalives.errors["dead"] = EXPIRED
    with client.stream_keepalive(["a", "dead"]) as stream:
        events = {event.session_id: event for event in (next(stream), next(stream))}
        assert isinstance(events["dead"].error, SessionExpiredError)
        rest: list[KeepaliveEvent] = []
        reader = threading.Thread(target=lambda: rest.extend(stream))
        reader.start()
        stream.close()
        reader.join(WAIT)
        assert not reader.is_alive()
    assert rest == []
    assert keepalives.closed.get(timeout=WAIT) == 1


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 20.0), (0.5, 18.0), (1.0, 16.0)])
async def test_renewals_are_spread_but_never_come_later_than_a_third(
    gateway: ScriptedGateway, keepalives: KeepaliveScript, clock: FakeClock, random: float, seconds: float
) -> None:
    keepalives.alive["a"] = 60
    pacing = Pacing(clock=clock, random=lambda: random)
    async with AsyncInference(address=gateway.address, pacing=pacing) as client, client.stream_keepalive(["a"]):
        await asked(keepalives)
        await within(lambda: clock.wait_for_sleep(seconds))


def test_pauses_grow_to_a_limit_and_are_spread() -> None:
    backoff = Backoff(initial=0.1, maximum=5.0)
    assert [backoff.delay(attempt, 1.0) for attempt in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff.delay(0, 0.0) == 0.05
    assert backoff.delay(10**6, 1.0) == 5.0
