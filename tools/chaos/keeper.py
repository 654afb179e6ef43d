"""A session that lives by StreamKeepalive alone, on a stream at every gateway: all of them tell the same of it."""

import asyncio
import random
import time
from collections.abc import Sequence

from sessiongateway import AsyncKeepaliveStream, SessionExpiredError, SessionGatewayError, WorkerLostError
from tools.chaos.judge import Judge
from tools.chaos.known import Known
from tools.chaos.lines import PATIENCE, Lines
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles


class Keeper:
    """Keeps sessions, and judges what is told of them."""

    def __init__(self, judge: Judge, tally: Tally, troubles: Troubles, patience: float = PATIENCE) -> None:
        """`patience` is how many seconds the streams have to tell of an end."""
        self._judge = judge
        self._tally = tally
        self._troubles = troubles
        self._patience = patience

    async def keep(self, known: Known, lines: Lines) -> str | None:
        """Keep a session for longer than its timeout, then end it. Returns the reason for its end that streams tell.

        Raises what ending it is answered.
        """
        streams = [client.stream_keepalive([known.id]) for client in lines.each()]
        reading = [asyncio.create_task(_read(stream, known)) for stream in streams]
        try:
            await asyncio.wait(reading, timeout=known.timeout * random.uniform(1.1, 1.5))
            if not any(task.done() for task in reading):
                self._tally.kept += 1
                await lines.ask(lambda client: client.sessions.end(known.id, timeout=PATIENCE))
            await asyncio.wait(reading, timeout=self._patience)
            return self._agreed(known, reading)
        finally:
            for task in reading:
                task.cancel()
            for stream in streams:
                await stream.aclose()
            await asyncio.gather(*reading, return_exceptions=True)

    def _agreed(self, known: Known, reading: Sequence[asyncio.Task[SessionGatewayError]]) -> str | None:
        silent = sum(not task.done() for task in reading)
        if silent:
            what = f"{silent} of {len(reading)} keepalive streams did not tell of its end"
            self._tally.wrong("wrong_events", f"{known.id}: {what}")
            return None
        errors = [task.result() for task in reading]
        reasons = {_reason(error) for error in errors}
        if len(reasons) > 1:
            self._tally.wrong("wrong_events", f"{known.id}: keepalive streams tell different ends: {reasons}")
        reason = _reason(errors[0])
        if reason == "idle_timeout" and self._troubles.calm(known.promised - known.timeout, time.time()):
            self._tally.wrong("early_expiries", f"{known.id}: it was on {len(reading)} keepalive streams")
        if reason != "caller":
            self._judge.over(known, errors[0])
        return reason


async def _read(stream: AsyncKeepaliveStream, known: Known) -> SessionGatewayError:
    """Follow the renewals, and return the reason of the end."""
    async for event in stream:
        if event.error is not None:
            return event.error
        assert event.session is not None
        assert event.session.expires_at is not None
        known.promised = max(known.promised, event.session.expires_at.timestamp())
    raise AssertionError("a stream that nobody closed has ended without a reason")


def _reason(error: SessionGatewayError) -> str | None:
    if isinstance(error, WorkerLostError):
        return "worker_lost"
    return "idle_timeout" if isinstance(error, SessionExpiredError) else error.end_reason
