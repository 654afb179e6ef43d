"""Functions that are generators: what they yield goes out as it comes, no faster than it is read."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any

from gateway.workers.frames import partial_cost
from sessiongateway.app import Result
from sessiongateway.worker.v1 import worker_pb2 as pb

Encode = Callable[[Any], bytes]
Emit = Callable[[bytes], Awaitable[object]]


def is_stream(answer: Any) -> bool:
    """Whether what a function returned is to be run on, output by output."""
    return inspect.isgenerator(answer) or inspect.isasyncgen(answer)


async def exhaust(stream: Any, encode: Encode, emit: Emit | None) -> Any:
    """Run a generator to its end, hand each output to `emit`, and return the result: what a `Result` holds, or what a
    plain generator returns.

    A cancellation ends the generator: an async one at its own await, each at its `yield`, where its `finally` runs.
    Raises whatever the app's code raises, and `payload.NotJson` for an output that cannot be sent.
    """
    if inspect.isasyncgen(stream):
        async with aclosing(stream):
            return await _exhaust(stream, encode, emit)
    outputs = _outputs_of(stream)
    try:
        return await _exhaust(outputs, encode, emit)
    finally:
        stream.close()


async def _exhaust(outputs: AsyncIterator[Any], encode: Encode, emit: Emit | None) -> Any:
    async for output in outputs:
        if isinstance(output, Result):
            return output.output
        # Encoded also when nobody reads it: what fails with RunStream fails with Run.
        data = encode(output)
        # A generator that never waits must not keep a cancellation out.
        await asyncio.sleep(0)
        if emit is not None:
            await emit(data)
    return None


async def _outputs_of(generator: Generator[Any, None, Any]) -> AsyncIterator[Any]:
    while True:
        try:
            output = next(generator)
        except StopIteration as end:
            yield Result(end.value)
            return
        yield output


class Outlet:
    """The way out for the partial outputs of one call: as many bytes as the gateway has room for."""

    def __init__(self, call: pb.Call, send: Callable[[str, bytes], object]) -> None:
        """`send` takes the call's id and an output."""
        self._call_id = call.id
        self._window = call.window
        self._send = send
        self._on_the_way = 0
        self._changed = asyncio.Event()

    async def emit(self, output: bytes) -> None:
        """Send one output once there is room; drop it when nobody wants it."""
        while self._window and self._on_the_way >= self._window:
            self._changed.clear()
            await self._changed.wait()
        if self._window:
            self._on_the_way += partial_cost(output)
            self._send(self._call_id, output)

    def credit(self, credit: pb.Credit) -> None:
        """Outputs were read, or nobody reads them any more."""
        self._on_the_way -= credit.bytes
        if credit.gone:
            self._window = 0
        self._changed.set()

    def gone(self) -> None:
        """The gateway that wanted them is gone; the function goes on."""
        self._window = 0
        self._changed.set()
