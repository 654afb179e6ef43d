"""A run that answers in parts, as its caller iterates over it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Self

from sessiongateway._errors import transport_error
from sessiongateway._portal import who_waits
from sessiongateway._types import RunResult


class AsyncRunStream(AsyncIterator[Any]):
    """Iterates over the partial outputs of one run, decoded from JSON; at the end, `result` has its answer.

    The run is sent with the first step of the iteration. A reader that is slow slows the function. Whoever stops early
    closes the stream, which cancels the run on the gateway too; so does cancelling a step, or dropping the stream.

    A step raises what `run` raises, also after outputs have come. A stream that has failed or was closed yields nothing
    more.
    """

    def __init__(self, parts: AsyncGenerator[Any, None]) -> None:
        """Made by `client.run_stream` and `session.stream`, of what yields the outputs and last a RunResult."""
        self._parts = parts
        self._turn = asyncio.Lock()
        self._step: asyncio.Timeout | None = None
        self._result: RunResult | None = None
        self._closed = False
        self._reader: object = None

    @property
    def result(self) -> RunResult:
        """The answer, as `run` returns it.

        Raises:
            RuntimeError: The stream has not been iterated to its end, or it has failed.
        """
        if self._result is None:
            raise RuntimeError("the stream has no result: it was not read to its end, was closed, or failed")
        return self._result

    def waits_for_caller(self) -> bool:
        """Whether it has begun and goes on only when the very task, or thread, that asks takes the next step."""
        return self._reader is not None and self._reader == who_waits()

    async def finish(self) -> RunResult:
        """Pass over the partial outputs that are left, and return the result.

        Raises:
            RuntimeError: The stream was closed, or has failed before.
            SessionGatewayError: The run failed.
        """
        async for _ in self:
            pass
        return self.result

    async def aclose(self) -> None:
        """Cancel the run unless it has ended. A step that waits meanwhile raises. May be called twice."""
        if not self._closed:
            self._closed = True
            if self._step is not None:
                # Its time is over: the way in which one task can interrupt another without looking like a cancellation.
                self._step.reschedule(0)
        async with self._turn:
            self._reader = None
            await self._parts.aclose()

    async def __anext__(self) -> Any:
        async with self._turn:
            if self._closed or self._result is not None:
                raise StopAsyncIteration
            self._reader = None
            part = await self._next_part()
            if not isinstance(part, RunResult):
                self._reader = who_waits()
                return part
            self._result = part
            await self._parts.aclose()
        raise StopAsyncIteration

    async def _next_part(self) -> Any:
        try:
            async with asyncio.timeout(None) as self._step:
                return await anext(self._parts)
        except TimeoutError:
            message = "the stream was closed before its result"
            raise transport_error("CANCELLED", message, run_state="unknown") from None
        finally:
            self._step = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
