"""One run, from the caller's fields to the decoded answer."""

from collections.abc import Mapping
from typing import Any

from sessiongateway._convert import run_request, run_result
from sessiongateway._exceptions import GatewayDrainingError, SessionGatewayError, StoreUnavailableError
from sessiongateway._pacing import Deadline, Pacing
from sessiongateway._transport import Transport
from sessiongateway._types import RunResult
from sessiongateway.v1 import sessions_pb2


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

    async def run(self, fields: Mapping[str, Any], deadline: Deadline) -> RunResult:
        """See `AsyncInference.run`."""
        response = await self._send(run_request(fields), deadline)
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

    async def _send(self, request: sessions_pb2.RunRequest, deadline: Deadline) -> sessions_pb2.RunResponse:
        pacing = self.pacing
        for attempt in range(pacing.drain_attempts - 1):
            try:
                return await self._transport.run(request, deadline)
            except (GatewayDrainingError, StoreUnavailableError) as error:  # nothing was applied, and it passes
                delay = max(error.retry_after or 0.0, pacing.drain.delay(attempt, pacing.random()))
                remaining = deadline.remaining()
                if remaining is not None and delay >= remaining:
                    raise
            await pacing.clock.sleep(delay)
        return await self._transport.run(request, deadline)
