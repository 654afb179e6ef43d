"""One run, from its request to the decoded answer."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from sessiongateway._convert import partial_output, run_result
from sessiongateway._exceptions import GatewayDrainingError, SessionGatewayError, StoreUnavailableError
from sessiongateway._pacing import Deadline, Pacing
from sessiongateway._transport import RunStreamCall, Transport
from sessiongateway._types import RunResult
from sessiongateway.v1 import sessions_pb2

ResponseT = TypeVar("ResponseT")


class Runner:
    """Runs functions; the only place that sends a run more than once."""

    def __init__(self, transport: Transport, pacing: Pacing, timeout: float | None) -> None:
        """`timeout` in seconds holds for requests that have none of their own."""
        self.pacing = pacing
        self._transport = transport
        self._timeout = timeout

    def deadline(self, timeout: float | None) -> Deadline:
        """Start counting a request's own seconds, or the client's."""
        return Deadline(self.pacing.clock, self._timeout if timeout is None else timeout)

    async def run(self, request: sessions_pb2.RunRequest, deadline: Deadline) -> RunResult:
        """See `AsyncInference.run`."""
        return _decoded(await self._send(lambda: self._transport.run(request, deadline), deadline))

    async def stream(
        self, request: sessions_pb2.RunRequest, start_deadline: Callable[[], Deadline]
    ) -> AsyncGenerator[Any, None]:
        """Yield the partial outputs of a run, and last its RunResult. The deadline is started with the first step.

        Closing the generator cancels the run. Raises what `run` raises.
        """
        deadline = start_deadline()
        call, part = await self._send(lambda: self._begin(request, deadline), deadline)
        try:
            while part is not None:
                kind = part.WhichOneof("part")
                if kind == "result":
                    result = _decoded(part.result)
                    await self._see_off(call)
                    yield result
                    return
                # Of a kind that only a newer gateway knows.
                if kind is not None:
                    yield _decoded_partial(part)
                part = await self._transport.read(call)
            raise SessionGatewayError("the stream ended without a result", code="INVALID_RESPONSE", run_state="unknown")
        finally:
            call.cancel()

    async def _begin(
        self, request: sessions_pb2.RunRequest, deadline: Deadline
    ) -> tuple[RunStreamCall, sessions_pb2.RunStreamResponse | None]:
        call = await self._transport.run_stream(request, deadline)
        return call, await self._transport.read(call)

    async def _see_off(self, call: RunStreamCall) -> None:
        with contextlib.suppress(SessionGatewayError, TimeoutError):
            async with asyncio.timeout(self.pacing.status_timeout):
                await self._transport.read(call)

    async def _send(self, send: Callable[[], Awaitable[ResponseT]], deadline: Deadline) -> ResponseT:
        pacing = self.pacing
        for attempt in range(pacing.drain_attempts - 1):
            try:
                return await send()
            except (GatewayDrainingError, StoreUnavailableError) as error:  # nothing was applied, and it passes
                delay = max(error.retry_after or 0.0, pacing.drain.delay(attempt, pacing.random()))
                remaining = deadline.remaining()
                if remaining is not None and delay >= remaining:
                    raise
            await pacing.clock.sleep(delay)
        return await send()


def _decoded(response: sessions_pb2.RunResponse) -> RunResult:
    try:
        return run_result(response)
    except (ValueError, RecursionError) as error:
        raise SessionGatewayError(
            f"the output cannot be read: {error}",
            code="INVALID_RESPONSE",
            session_id=response.session_id or None,
            call_id=response.call_id or None,
            run_state="completed",
        ) from None


def _decoded_partial(part: sessions_pb2.RunStreamResponse) -> Any:
    try:
        return partial_output(part)
    except (ValueError, RecursionError) as error:
        message = f"a partial output cannot be read: {error}"
        raise SessionGatewayError(message, code="INVALID_RESPONSE", run_state="unknown") from None
