"""What the runner does in the middle of a scenario: the world in which clients live."""

import asyncio
import os
import signal
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from gateway.testing.gate import Gate
from gateway.workers.runtime import runtime_directory
from sessiongateway import AsyncInference, SessionInfo
from sessiongateway.v1 import sessions_pb2
from tools.conformance.executor import Executor
from tools.conformance.fake import FakeGateway
from tools.conformance.gateways import RealGateway
from tools.conformance.matching import match, same, shown
from tools.conformance.values import Mismatch, Variables, resolved

DEADLINE = 20.0
"""Seconds after which what a scenario waits for does not come any more."""

_LOOK_AGAIN = 0.02

_COMPARING = frozenset({"wait_until", "raw_response", "fake_seen", "fake_keys", "send_line"})
_GIVEN = frozenset({"session", "bytes", "line"})
"""The fields of those that are no expectations."""

_SEEN_DEADLINE = 5.0
"""Seconds in which the fake gateway has been asked what it is to be asked."""

_LOOKS_UNCHANGED = 50
"""After how many looks something counts as standing still."""


def session_of(session: SessionInfo) -> dict[str, Any]:
    """Return a session in the form that executors give it, as far as scenarios wait for it."""
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in session.items()}


class Actions:
    """The actions of one scenario."""

    def __init__(
        self,
        server: RealGateway | FakeGateway,
        executor: Executor,
        gate: Gate,
        observer: AsyncInference,
        known: Variables,
    ) -> None:
        self._server = server
        self._executor = executor
        self._gate = gate
        self._observer = observer
        self._variables = known
        self._arrived: set[str] = set()
        self._gone: set[str] = set()

    async def do(self, name: str, argument: Any) -> None:
        """Do one. Raises Mismatch when something does not become as the scenario has it."""
        action: Callable[[Any], Awaitable[None]] = getattr(self, f"_{name}")
        await action(self._prepared(name, argument))

    def _prepared(self, name: str, argument: Any) -> Any:
        """Fill in variables, but not in expectations: those are filled in as they are compared."""
        if name not in _COMPARING:
            return resolved(argument, self._variables)
        known = {key: resolved(value, self._variables) for key, value in argument.items() if key in _GIVEN}
        return argument | known

    async def _gate_arrival(self, word: Any) -> None:
        await _until_said(str(word), self._arrived, self._gate.arrival, "nobody came to the gate with")

    async def _gate_departure(self, word: Any) -> None:
        await _until_said(str(word), self._gone, self._gate.departure, "nobody left the gate with")

    async def _gate_open(self, word: Any) -> None:
        self._gate.open(str(word))

    async def _gate_empty(self, _: Any) -> None:
        if not self._gate.nobody_came():
            raise Mismatch("somebody came to the gate who should not")

    async def _kill_worker(self, worker_id: str) -> None:
        path = runtime_directory(self._real.data_dir) / worker_id / "pid"
        os.kill(int(path.read_text().split()[0]), signal.SIGKILL)

    async def _wait_until(self, argument: dict[str, Any]) -> None:
        """Look at a session until it is as expected."""
        expected = dict(argument)
        session_id = expected.pop("session")
        problem = "it was never seen"
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    session = await self._observer.sessions.get(session_id)
                    try:
                        return match(expected, session_of(session), self._variables, "the session")
                    except Mismatch as mismatch:
                        problem = str(mismatch)
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            raise Mismatch(f"not within {DEADLINE:g} s: {problem}") from None

    async def _restart_gateway(self, _: Any) -> None:
        await self._real.stop()
        await self._real.start()

    async def _stop_gateway(self, _: Any) -> None:
        await self._real.stop()

    async def _terminate_gateway(self, _: Any) -> None:
        self._real.process.terminate()

    async def _await_gateway(self, _: Any) -> None:
        await asyncio.to_thread(self._real.process.wait)

    async def _kill_gateway(self, _: Any) -> None:
        await self._real.kill()

    async def _start_gateway(self, _: Any) -> None:
        await self._real.start()

    async def _break_store(self, _: Any) -> None:
        self._real.lock_store()

    async def _mend_store(self, _: Any) -> None:
        self._real.unlock_store()

    async def _idle_worker(self, argument: dict[str, str]) -> None:
        """Keep the id of a worker of the app that is ready and not leased."""
        async with asyncio.timeout(DEADLINE):
            while not (ids := (await self._observer.apps.get(argument["app"])).idle_worker_ids):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AGAIN)  # nothing tells that a worker is ready
        self._variables[argument["as"]] = ids[0]

    async def _number_stays(self, argument: dict[str, Any]) -> None:
        """Wait until the number that an app keeps in a file no longer grows, and look whether it is in bounds."""
        last, unchanged = "", 0
        try:
            async with asyncio.timeout(DEADLINE):
                while unchanged < _LOOKS_UNCHANGED:
                    await asyncio.sleep(_LOOK_AGAIN)
                    # Empty in the moment in which the app writes it.
                    now = Path(argument["file"]).read_text() or last  # noqa: ASYNC240 - a few bytes
                    last, unchanged = now, unchanged + 1 if now == last else 0
        except TimeoutError:
            raise Mismatch(f"it still grows: {last}") from None
        match({"$between": argument["between"]}, int(last), self._variables, "the number")

    async def _raw_request(self, argument: dict[str, Any]) -> None:
        """Keep a RunRequest, given as the JSON form of the message, as its bytes in base64."""
        message = json_format.ParseDict(argument["message"], sessions_pb2.RunRequest())
        self._variables[argument["as"]] = b64encode(message.SerializeToString()).decode()

    async def _raw_response(self, argument: dict[str, Any]) -> None:
        """Compare a RunResponse in base64 with the JSON form of the message."""
        message = sessions_pb2.RunResponse.FromString(b64decode(argument["bytes"]))
        match(argument["is"], json_format.MessageToDict(message), self._variables, "the response")

    async def _fake_seen(self, expected: dict[str, Any]) -> None:
        """Wait until the fake gateway was asked as often as expected: renewals come when they come."""
        try:
            async with asyncio.timeout(_SEEN_DEADLINE):
                while not self._is_seen(expected):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            match(expected, dict(self._fake.seen), self._variables, "what the fake gateway was asked")

    def _is_seen(self, expected: dict[str, Any]) -> bool:
        try:
            match(expected, dict(self._fake.seen), self._variables)
        except Mismatch:
            return False
        return True

    async def _fake_keys(self, expected: dict[str, Any]) -> None:
        match(expected, self._fake.keys, self._variables, "the keys of the requests")

    async def _deploy(self, argument: dict[str, str]) -> None:
        await asyncio.to_thread(self._real.deploy, argument["app"], argument["from"])

    async def _send_line(self, argument: dict[str, Any]) -> None:
        """Send a line that is no command, and look at what is answered to its number."""
        self._executor.expect_number(argument["number"])
        await self._executor.send_line(argument["line"])
        answer = await self._executor.answer(argument["number"])
        match(argument["answer"], answer, self._variables)

    async def _end_input(self, code: int) -> None:
        found = await self._executor.end()
        if not same(found, code):
            raise Mismatch(f"the executor ended with {shown(found)}, not {code}")

    @property
    def _real(self) -> RealGateway:
        assert isinstance(self._server, RealGateway)
        return self._server

    @property
    def _fake(self) -> FakeGateway:
        assert isinstance(self._server, FakeGateway)
        return self._server


async def _until_said(word: str, heard: set[str], listen: Callable[[], Awaitable[str]], otherwise: str) -> None:
    while word not in heard:
        try:
            heard.add(await listen())
        except TimeoutError:
            raise Mismatch(f"{otherwise} {word!r}") from None
    heard.discard(word)
