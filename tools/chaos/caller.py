"""One caller: opens sessions, calls, repeats what was cut off, and checks every answer against what it knows."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sessiongateway import (
    AsyncInference,
    DeadlineExceededError,
    GatewayDrainingError,
    NoWorkerAvailableError,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    SessionNotFoundError,
    UnavailableError,
    WorkerLostError,
)
from tools.chaos.report import Tally

CALLS_OF_A_SESSION = 25
SESSION_TIMEOUT = 8
SHORT_TIMEOUT = 1
PATIENCE = 60.0
"""Seconds in which a call must have been answered, repeats included."""

_AGAIN = (UnavailableError, GatewayDrainingError, DeadlineExceededError)


@dataclass
class Known:
    """What a caller knows of its session."""

    id: str
    worker_id: str
    tokens: list[str] = field(default_factory=list)
    last_contact: float = 0.0
    """When the newest answer arrived, on this process's monotonic clock."""


class Caller:
    """Runs sessions one after another until it is told to stop."""

    def __init__(self, address: Callable[[], str], ledger: str, tally: Tally, killed_workers: dict[str, float]) -> None:
        self._address = address
        self._ledger = ledger
        self._tally = tally
        self._killed = killed_workers
        self._client: AsyncInference | None = None
        self._client_address = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Play until `stop` is set."""
        try:
            while not stop.is_set():
                await self._play_session(stop)
        finally:
            if self._client is not None:
                await self._client.close()

    async def _play_session(self, stop: asyncio.Event) -> None:
        short = random.random() < 0.2
        known = await self._open(SHORT_TIMEOUT if short else SESSION_TIMEOUT)
        if known is None:
            return
        self._tally.sessions += 1
        try:
            if short:
                await self._let_expire(known)
                return
            for _ in range(CALLS_OF_A_SESSION):
                if stop.is_set():
                    break
                await random.choice((self._call, self._call, self._call, self._walk, self._renew, self._plain))(known)
            await self._repeat_until_answered(lambda client: client.sessions.end(known.id))
        except SessionGatewayError as error:
            self._judge_end(known, error)
            await self._measure_detection(known)

    async def _open(self, timeout: int) -> Known | None:
        token = uuid.uuid4().hex
        try:
            # No repeat: a cut "new" may have opened a session, which nobody knows and which expires by itself.
            client = await self._connected()
            fields = {"app": "chaos", "function": "add", "input": self._input(token), "session": "new"}
            answer = await client.run(fields, session_timeout=timeout, timeout=PATIENCE)
        except SessionGatewayError:
            await asyncio.sleep(0.1)
            return None
        self._tally.calls += 1
        assert answer.session is not None
        return Known(answer.session_id, answer.session.worker_id, [token], last_contact=time.monotonic())

    async def _call(self, known: Known) -> None:
        token, request_id = uuid.uuid4().hex, uuid.uuid4().hex
        fields = {"app": "chaos", "function": "add", "input": self._input(token), "session": known.id}
        answer = await self._repeat_until_answered(
            lambda client: client.run(fields, request_id=request_id, timeout=PATIENCE)
        )
        self._check_state(known, token, answer["output"])

    async def _walk(self, known: Known) -> None:
        """Have it step by step, and from where it is cut off the result alone."""
        token, request_id = uuid.uuid4().hex, uuid.uuid4().hex
        fields = {"app": "chaos", "function": "walk", "input": self._input(token), "session": known.id}

        async def walk(client: AsyncInference) -> Any:
            steps: list[int] = []
            async with client.run_stream(fields, request_id=request_id, timeout=PATIENCE) as stream:
                async for output in stream:
                    steps.append(output["step"])
                    if steps != list(range(len(steps))):
                        self._tally.wrong("wrong_answers", f"{known.id}: steps {steps}")
            self._tally.streams += 1
            return stream.result

        answer = await self._repeat_until_answered(walk)
        self._check_state(known, token, answer["output"])

    def _check_state(self, known: Known, token: str, output: dict[str, list[str]]) -> None:
        known.tokens.append(token)
        known.last_contact = time.monotonic()
        self._tally.calls += 1
        if output["in_memory"] != known.tokens or output["in_file"] != known.tokens:
            self._tally.wrong("wrong_answers", f"{known.id}: {len(output['in_memory'])} of {len(known.tokens)} tokens")

    async def _renew(self, known: Known) -> None:
        session = await self._repeat_until_answered(lambda client: client.sessions.keepalive(known.id))
        known.last_contact = time.monotonic()
        left = session.expires_in.total_seconds()
        if session.status != "active" or not 0 < left <= SESSION_TIMEOUT:
            self._tally.wrong("wrong_answers", f"{known.id}: renewed, {session.status}, {left} s left")

    async def _plain(self, known: Known) -> None:
        """Call without a session, once: what is cut off is not repeated, as nobody would remember it."""
        token = uuid.uuid4().hex
        try:
            answer = await (await self._connected()).run(
                app="chaos", function="echo", input=self._input(token), timeout=PATIENCE
            )
        except (*_AGAIN, WorkerLostError, NoWorkerAvailableError):
            return
        self._tally.calls += 1
        if answer.output["token"] != token:
            self._tally.wrong("wrong_answers", f"a plain call: {answer.output['token']} for {token}")

    async def _let_expire(self, known: Known) -> None:
        while True:
            info: Any = await self._repeat_until_answered(lambda client: client.sessions.get(known.id))
            if info.status == "active":
                await asyncio.sleep(0.05)
                continue
            if info.end_reason == "idle_timeout":
                due, late = info.expires_at.timestamp(), info.ended_at.timestamp() - info.expires_at.timestamp()
                if self._tally.last_start < due < info.ended_at.timestamp() < self._tally.last_stop:
                    self._tally.latest_expiry = max(self._tally.latest_expiry, late)
                else:
                    self._tally.latest_expiry_after_restart = max(self._tally.latest_expiry_after_restart, late)
                if late < -0.001:
                    self._tally.wrong("early_expiries", f"{known.id}: {-late:.3f} s")
            else:
                self._check_reason(known, info.end_reason)
            return

    async def _repeat_until_answered(self, ask: Callable[[AsyncInference], Any]) -> Any:
        """Send again what was cut off. Raises what the gateway answers."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                client = await self._connected()
                return await ask(client)
            except _AGAIN:
                if time.monotonic() > until:
                    raise
                self._tally.repeats += 1
                await asyncio.sleep(0.05)

    def _judge_end(self, known: Known, error: SessionGatewayError) -> None:
        if isinstance(error, SessionNotFoundError):
            self._tally.wrong("lost_without_reason", f"{known.id}: {error}")
        elif isinstance(error, WorkerLostError):
            self._check_reason(known, "worker_lost")
        elif isinstance(error, SessionExpiredError):
            idle = time.monotonic() - known.last_contact
            if idle < SESSION_TIMEOUT:
                self._tally.wrong("early_expiries", f"{known.id}: idle for {idle:.3f} s")
        elif isinstance(error, SessionEndedError):
            self._check_reason(known, error.end_reason)
        else:
            self._tally.wrong("wrong_answers", f"{known.id}: {error.code}: {error}")

    def _check_reason(self, known: Known, reason: str | None) -> None:
        killed_at = self._killed.get(known.worker_id)
        if reason != "worker_lost" or killed_at is None:
            self._tally.wrong("lost_without_reason", f"{known.id}: {reason}, and nobody killed {known.worker_id}")

    async def _measure_detection(self, known: Known) -> None:
        """Note how long the gateway took to see that a worker was killed, if it was there all the while."""
        killed_at = self._killed.get(known.worker_id)
        if killed_at is None or killed_at < self._tally.last_start or killed_at > self._tally.last_stop:
            return
        info = await self._repeat_until_answered(lambda client: client.sessions.get(known.id))
        if info.end_reason == "worker_lost" and info.ended_at is not None:
            took = info.ended_at.timestamp() - killed_at
            self._tally.slowest_detection = max(self._tally.slowest_detection, took)

    async def _connected(self) -> AsyncInference:
        if self._client is None or self._client_address != self._address():
            if self._client is not None:
                await self._client.close()
            self._client_address = self._address()
            self._client = AsyncInference(address=self._client_address, api_key="chaos")
        return self._client

    def _input(self, token: str) -> dict[str, object]:
        return {"token": token, "ledger": self._ledger, "seconds": random.choice((0, 0, 0, 0.05, 0.3))}
