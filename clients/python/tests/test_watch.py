"""A watch tells each event once, whatever becomes of its connection."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import pytest

from sessiongateway import (
    AsyncInference,
    AsyncWatchStream,
    GatewayDrainingError,
    Inference,
    InvalidRequestError,
    UnavailableError,
    WatchEvent,
)
from sessiongateway.v1 import sessions_pb2
from tests.sdk.clock import FakeClock
from tests.sdk.scripted import WAIT, ScriptedGateway
from tests.sdk.watch_script import WatchScript, failing, message

BROKEN = failing(grpc.StatusCode.UNAVAILABLE)
STOPPING = failing(grpc.StatusCode.UNAVAILABLE, "GATEWAY_DRAINING", retry_after=1)
NO_STORE = failing(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
FIRST_PAUSE = 0.05


async def within(wait: Callable[[], object]) -> object:
    """Wait for something that blocks a thread."""
    return await asyncio.to_thread(wait)


async def sleep_through(clock: FakeClock, seconds: float) -> None:
    """Wait until the client sleeps for so long, then let the time pass."""
    await asyncio.to_thread(clock.wait_for_sleep, seconds)
    clock.advance(seconds)


async def next_of(stream: AsyncWatchStream) -> WatchEvent:
    return await asyncio.wait_for(anext(stream), WAIT)


def asked(script: WatchScript) -> tuple[str, str]:
    return script.asked.get(timeout=WAIT)


async def test_events_come_with_their_session_time_and_token(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    script = WatchScript(gateway, [message("WATCHING", "t0"), message("WORKER_LOST", "t1", "sess_a")])
    async with async_client.sessions.watch("before", "kv") as stream:
        assert asked(script) == ("before", "kv")
        event = await next_of(stream)
        assert (event.event, event.resume_token) == ("worker_lost", "t1")
        assert event.session is not None
        assert (event.session.id, event.session.app) == ("sess_a", "kv")
        assert event.occurred_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    await within(lambda: script.closed.get(timeout=WAIT))


async def test_an_event_of_a_newer_gateway_has_a_name_all_the_same(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    newer = sessions_pb2.WatchSessionsResponse(event=99, resume_token="t1")  # type: ignore[arg-type]
    WatchScript(gateway, [message("WATCHING", "t0"), newer])
    async with async_client.sessions.watch() as stream:
        assert (await next_of(stream)).event == "unknown_99"


async def test_entering_waits_until_the_watch_stands_and_then_there_is_a_token(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    WatchScript(gateway, [message("WATCHING", "t0")])
    stream = async_client.sessions.watch()
    assert stream.resume_token == ""
    async with stream:
        assert stream.resume_token == "t0"


async def test_the_token_is_that_of_the_last_event_that_was_read(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    steps = [message("WATCHING", "t0"), message("CREATED", "t1", "a"), message("CREATED", "t2", "b")]
    WatchScript(gateway, [*steps, message("WATCHING", "t3"), message("ENDED", "t4", "a")])
    async with async_client.sessions.watch() as stream:
        tokens = [((await next_of(stream)).resume_token, stream.resume_token) for _ in range(3)]
    assert tokens == [("t1", "t1"), ("t2", "t2"), ("t4", "t4")]


async def test_a_quiet_watch_takes_note_of_fresh_tokens_without_showing_them(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    script = WatchScript(gateway, [message("WATCHING", "t0"), message("WATCHING", "t9"), BROKEN])
    async with async_client.sessions.watch() as stream:
        assert asked(script) == ("", "")
        await sleep_through(clock, FIRST_PAUSE)
        assert await within(lambda: asked(script)) == ("t9", "")
        assert stream.resume_token == "t9"


async def test_watching_is_shown_to_those_who_ask(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    WatchScript(gateway, [message("WATCHING", "t0"), message("CREATED", "t1", "a"), message("WATCHING", "t2")])
    async with async_client.sessions.watch(show_watching=True) as stream:
        events = [await next_of(stream) for _ in range(3)]
    assert [(event.event, event.session is None) for event in events] == [
        ("watching", True),
        ("created", False),
        ("watching", True),
    ]


@pytest.mark.parametrize("end", [BROKEN, NO_STORE, failing(grpc.StatusCode.INTERNAL), None])
async def test_a_watch_that_breaks_goes_on_behind_the_last_event_that_was_read(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock, end: object
) -> None:
    script = WatchScript(
        gateway,
        [message("WATCHING", "t0"), message("CREATED", "t1", "a"), end],  # type: ignore[list-item]
        [message("WATCHING", "t1"), message("ENDED", "t2", "a")],
    )
    async with async_client.sessions.watch(app="kv") as stream:
        assert (await next_of(stream)).event == "created"
        following = asyncio.create_task(next_of(stream))
        await sleep_through(clock, FIRST_PAUSE)
        assert (await following).event == "ended"
    assert [asked(script), asked(script)] == [("", "kv"), ("t1", "kv")]


async def test_each_interruption_is_told_before_the_stream_is_opened_again(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    script = WatchScript(
        gateway,
        [message("WATCHING", "t0"), STOPPING],
        [BROKEN],
        [message("WATCHING", "t0"), message("ENDED", "t1", "a")],
    )
    told: list[str] = []
    async with async_client.sessions.watch(on_interruption=lambda error: told.append(error.code)) as stream:
        following = asyncio.create_task(next_of(stream))
        await sleep_through(clock, 1)
        assert told == ["GATEWAY_DRAINING"]
        await sleep_through(clock, 2 * FIRST_PAUSE)
        assert (await following).event == "ended"
    assert told == ["GATEWAY_DRAINING", "UNAVAILABLE"]
    assert [asked(script) for _ in range(3)] == [("", ""), ("t0", ""), ("t0", "")]


async def test_pauses_grow_while_nothing_comes_and_begin_anew_after_a_message(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    script = WatchScript(gateway, [message("WATCHING", "t0"), BROKEN], [BROKEN], [BROKEN], [])
    async with async_client.sessions.watch() as stream:
        following = asyncio.create_task(anext(stream))
        for pause in (0.05, 0.1, 0.2):
            await sleep_through(clock, pause)
        for _ in range(4):
            await within(lambda: asked(script))
        following.cancel()


async def test_a_gateway_that_stops_is_asked_again_after_the_time_that_it_names(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    WatchScript(
        gateway, [message("WATCHING", "t0"), STOPPING], [message("WATCHING", "t0"), message("ENDED", "t1", "a")]
    )
    async with async_client.sessions.watch() as stream:
        following = asyncio.create_task(next_of(stream))
        await sleep_through(clock, 1.0)
        assert (await following).event == "ended"


async def test_a_gateway_that_falls_silent_is_left_and_asked_anew(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    script = WatchScript(gateway, [message("WATCHING", "t0")], [message("WATCHING", "t0"), message("ENDED", "t1", "a")])
    async with async_client.sessions.watch() as stream:
        following = asyncio.create_task(next_of(stream))
        await sleep_through(clock, 100.0)
        await sleep_through(clock, FIRST_PAUSE)
        assert (await following).event == "ended"
    assert script.closed.get(timeout=WAIT) is None


async def test_a_gateway_that_was_restarted_is_found_again(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    script = WatchScript(gateway, [message("WATCHING", "t0")])
    async with async_client.sessions.watch() as stream:
        await within(lambda: asked(script))
        await within(gateway.stop)
        await within(lambda: clock.wait_for_sleep(FIRST_PAUSE))
        await within(gateway.start)
        pause = FIRST_PAUSE
        while script.asked.empty():
            # gRPC's own pause after a refused connection is in real time, so the number of attempts is not known.
            await sleep_through(clock, pause)
            pause = min(2 * pause, 2.5)
            await within(lambda: _soon(script))
        assert asked(script) == ("t0", "")
        assert stream.resume_token == "t0"


def _soon(script: WatchScript) -> None:
    with script.asked.not_empty:
        script.asked.not_empty.wait(0.5)


async def test_before_it_stands_a_gateway_that_cannot_be_reached_is_an_error(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    await within(gateway.stop)
    stream = async_client.sessions.watch()
    with pytest.raises(UnavailableError):
        async with stream:
            pytest.fail("it cannot stand")
    assert async_client._streams == set()


async def test_before_it_stands_a_gateway_that_stops_is_asked_a_few_times(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    WatchScript(gateway, *[[STOPPING] for _ in range(4)])
    entering = asyncio.create_task(async_client.sessions.watch().__aenter__())
    for _ in range(3):
        await sleep_through(clock, 1.0)
    with pytest.raises(GatewayDrainingError):
        await asyncio.wait_for(entering, WAIT)


async def test_a_token_that_is_refused_is_an_error_at_any_time(
    gateway: ScriptedGateway, async_client: AsyncInference, clock: FakeClock
) -> None:
    refusal = failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    WatchScript(gateway, [refusal], [message("WATCHING", "t0"), BROKEN], [refusal])
    with pytest.raises(InvalidRequestError):
        await async_client.sessions.watch("bad").__aenter__()
    async with async_client.sessions.watch() as stream:
        following = asyncio.create_task(next_of(stream))
        await sleep_through(clock, FIRST_PAUSE)
        with pytest.raises(InvalidRequestError):
            await following


async def test_a_step_that_is_cancelled_loses_no_event(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    release = asyncio.Event()

    async def serve(request: object, context: object):  # type: ignore[no-untyped-def]
        yield message("WATCHING", "t0")
        await release.wait()
        for number in range(1, 4):
            yield message("CREATED", f"t{number}", f"s{number}")
        await asyncio.Event().wait()

    gateway.answer_streams["WatchSessions"] = serve
    async with async_client.sessions.watch() as stream:
        for _ in range(3):
            step = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
        gateway.loop.call_soon_threadsafe(release.set)
        assert [(await next_of(stream)).resume_token for _ in range(3)] == ["t1", "t2", "t3"]


async def test_a_slow_reader_reads_no_more_than_one_event_ahead(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    steps = [message("CREATED", f"t{number}", f"s{number}") for number in range(1, 4)]
    WatchScript(gateway, [message("WATCHING", "t0"), *steps])
    async with async_client.sessions.watch() as stream:
        assert (await next_of(stream)).resume_token == "t1"
        assert stream._step is None
        assert stream.resume_token == "t1"


async def test_closing_ends_an_iteration_that_waits_and_may_be_repeated(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    script = WatchScript(gateway)
    async with async_client.sessions.watch() as stream:
        waiting = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        await stream.aclose()
        await stream.aclose()
        assert await asyncio.wait_for(waiting, WAIT) is None
        assert [event async for event in stream] == []
    await within(lambda: script.closed.get(timeout=WAIT))


async def test_closing_the_client_closes_its_watches(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    script = WatchScript(gateway)
    stream = await async_client.sessions.watch().__aenter__()
    waiting = asyncio.create_task(anext(stream, None))
    await asyncio.sleep(0)
    await async_client.close()
    assert await asyncio.wait_for(waiting, WAIT) is None
    await within(lambda: script.closed.get(timeout=WAIT))
    assert async_client._streams == set()


def test_the_sync_watch_iterates_and_can_be_closed_from_another_thread(
    gateway: ScriptedGateway, client: Inference
) -> None:
    script = WatchScript(
        gateway, [message("WATCHING", "t0"), message("CREATED", "t1", "a"), message("ENDED", "t2", "a")]
    )
    with client.sessions.watch("before", "kv") as stream:
        assert asked(script) == ("before", "kv")
        assert stream.resume_token == "t0"
        assert [next(stream).event, next(stream).event] == ["created", "ended"]
        assert stream.resume_token == "t2"
        rest: list[WatchEvent] = []
        reader = threading.Thread(target=lambda: rest.extend(stream))
        reader.start()
        stream.close()
        reader.join(WAIT)
        assert not reader.is_alive()
    assert rest == []
    assert script.closed.get(timeout=WAIT) is None
