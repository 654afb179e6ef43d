"""Whoever stops reading a stream cancels its run, in whatever way that happens, and nobody is left waiting."""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from sessiongateway import AsyncInference, AsyncRunStream, Inference, SessionGatewayError
from tests.sdk.scripted import WAIT
from tests.sdk.streams import StreamScript, partial


async def test_closing_cancels_the_run_on_the_gateway(async_client: AsyncInference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    async with async_client.run_stream(app="kv") as stream:
        await anext(stream)
        assert await asyncio.to_thread(script.held.wait, WAIT)
    assert await asyncio.to_thread(script.cancelled.wait, WAIT)
    await stream.aclose()
    assert [output async for output in stream] == []


async def test_a_step_that_waits_while_the_stream_is_closed_raises(
    async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(script.hold)
    stream = async_client.run_stream(app="kv")
    step = asyncio.create_task(stream.finish())
    assert await asyncio.to_thread(script.held.wait, WAIT)
    await asyncio.gather(stream.aclose(), stream.aclose())
    with pytest.raises(SessionGatewayError, match="closed before its result") as caught:
        await step
    assert (caught.value.code, caught.value.run_state) == ("CANCELLED", "unknown")
    assert await asyncio.to_thread(script.cancelled.wait, WAIT)


async def test_closing_frees_everybody_who_waits_for_an_output_also_when_one_comes_at_that_moment() -> None:
    output: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def parts() -> AsyncGenerator[Any, None]:
        yield await output
        await asyncio.Event().wait()

    stream = AsyncRunStream(parts())
    first, second = asyncio.create_task(anext(stream)), asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    output.set_result({"n": 1})
    async with asyncio.timeout(WAIT):
        await stream.aclose()
        assert await first == {"n": 1}
        with pytest.raises(StopAsyncIteration):
            await second


async def test_cancelling_a_step_cancels_the_run(async_client: AsyncInference, script: StreamScript) -> None:
    script.play(script.hold)
    stream = async_client.run_stream(app="kv")
    step = asyncio.create_task(stream.finish())
    assert await asyncio.to_thread(script.held.wait, WAIT)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert await asyncio.to_thread(script.cancelled.wait, WAIT)
    assert [output async for output in stream] == []


async def test_closing_the_client_cuts_its_streams_off(async_client: AsyncInference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    stream = async_client.run_stream(app="kv")
    await anext(stream)
    step = asyncio.create_task(stream.finish())
    assert await asyncio.to_thread(script.held.wait, WAIT)
    await async_client.close()
    with pytest.raises(SessionGatewayError, match="the client was closed") as caught:
        await step
    assert (caught.value.code, caught.value.run_state) == ("CANCELLED", "unknown")


async def test_a_stream_that_nobody_holds_any_more_is_cancelled(
    async_client: AsyncInference, script: StreamScript
) -> None:
    script.play(partial("{}"), script.hold)
    async for _ in async_client.run_stream(app="kv"):
        break
    gc.collect()
    assert await asyncio.to_thread(script.cancelled.wait, WAIT)


def test_leaving_a_loop_over_a_stream_cancels_the_run(client: Inference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    for _ in client.run_stream(app="kv"):
        break
    gc.collect()
    assert script.cancelled.wait(WAIT)


def test_a_block_around_a_stream_cancels_the_run_when_it_is_left(client: Inference, script: StreamScript) -> None:
    script.play(partial("{}"), script.hold)
    with pytest.raises(KeyError), client.run_stream(app="kv") as stream:
        raise KeyError(next(stream))
    assert script.cancelled.wait(WAIT)


def test_one_thread_can_close_what_another_reads(client: Inference, script: StreamScript) -> None:
    script.play(script.hold)
    stream = client.run_stream(app="kv")
    raised: list[SessionGatewayError] = []

    def read() -> None:
        try:
            stream.finish()
        except SessionGatewayError as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert script.held.wait(WAIT)
    stream.close()
    reader.join(WAIT)
    assert [error.code for error in raised] == ["CANCELLED"]
    assert script.cancelled.wait(WAIT)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, also where the test run itself was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_cancels_the_run(client: Inference, script: StreamScript) -> None:
    # Held before the first output, so that the interrupt finds the thread waiting for a step.
    script.play(script.hold)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        script.held.wait(WAIT)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    stream = client.run_stream(app="kv")
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    interrupter.join()
    assert script.cancelled.wait(WAIT)
