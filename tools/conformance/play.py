"""Plays one scenario with one executor."""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.testing.gate import listening_gate
from sessiongateway import AsyncInference, SessionGatewayError
from tools.conformance.actions import DEADLINE, Actions
from tools.conformance.executor import Executor, ExecutorError
from tools.conformance.fake import FakeGateway
from tools.conformance.gateways import Gateways, RealGateway
from tools.conformance.matching import match, shown
from tools.conformance.scenarios import OPERATIONS, Scenario
from tools.conformance.shapes import check_answer
from tools.conformance.values import Mismatch, Variables, resolved

SCENARIO_DEADLINE = 90.0
"""Seconds after which a scenario as a whole has failed, whatever it waits for."""

_PAUSE = 0.05
"""Seconds between the attempts of `repeat_until`."""

_OF_CLIENTS = OPERATIONS - {"cancel", "raw_run", "stream_next", "stream_close", "watch_next", "watch_close"}
_OF_CLIENTS -= {"keepalive_next", "keepalive_close", "handle_call", "handle_lost", "handle_close"}
_NAMES = ("client", "stream", "watch", "handle")


class Play:
    """A scenario in the middle of being played."""

    def __init__(self, label: str, executor: Executor, actions: Actions, variables: Variables) -> None:
        self._label = label
        self._executor = executor
        self._actions = actions
        self._variables = variables
        self._pending: dict[str, tuple[int, str]] = {}
        self._clients: set[str] = set()

    async def begin(self) -> None:
        """Connect the client that is meant where no other is named."""
        await self._step({"connect": {}})

    async def steps(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Do the steps in order. Raises Mismatch or ExecutorError, with the place."""
        for number, step in enumerate(steps, 1):
            try:
                await self._step(step)
            except (Mismatch, ExecutorError) as problem:
                raise type(problem)(f"step {number} ({_verb(step)}): {problem}") from None

    async def leave(self) -> None:
        """Wait for what is still pending, and close the clients that are open."""
        for number, verb in self._pending.values():
            check_answer(verb, await self._executor.answer(number))
        for client in sorted(self._clients):
            number = await self._executor.send("close", {"client": client})
            answer = await self._executor.answer(number)
            if "ok" not in answer:
                raise Mismatch(f"closing the client: {shown(answer)}")
        self._executor.check()

    async def _step(self, step: Mapping[str, Any]) -> None:
        verb = _verb(step)
        if verb == "each":
            for value in resolved(step["each"], self._variables):
                self._variables |= _named(step["as"], value)
                try:
                    await self.steps(step["steps"])
                except (Mismatch, ExecutorError) as problem:
                    raise type(problem)(f"with {shown(value)}: {problem}") from None
        elif verb == "repeat_until":
            await self._repeat(step["repeat_until"])
        elif verb == "answer":
            await self._compare(*self._taken(step["answer"]), step)
        elif verb in OPERATIONS:
            number = await self._executor.send(verb, self._command(verb, step[verb] or {}))
            if "pending" in step:
                self._pending[resolved(step["pending"], self._variables)] = (number, verb)
            else:
                await self._compare(number, verb, step)
        else:
            await self._actions.do(verb, step[verb])

    async def _repeat(self, step: Mapping[str, Any]) -> None:
        """Do a step again until its answer is as expected. What comes in between is of no interest."""
        problem: Mismatch | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    try:
                        return await self._step(step)
                    except Mismatch as mismatch:
                        problem = mismatch
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            raise Mismatch(f"not within {DEADLINE:g} s: {problem or 'it was never answered'}") from None

    def _command(self, verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = dict(resolved(dict(given), self._variables))
        if verb == "cancel":
            return {"target": self._known(fields["target"])[0]}
        if verb in _OF_CLIENTS:
            fields.setdefault("client", "main")
        for name in _NAMES:
            if name in fields:
                # Executors live longer than scenarios: no two may use the same name.
                fields[name] = f"{self._label}.{fields[name]}"
        if verb in ("connect", "raw_run"):
            fields.setdefault("address", self._variables["address"])
            fields.setdefault("api_key", self._variables["api_key"])
        if verb == "connect":
            self._clients.add(fields["client"])
        if verb == "close":
            self._clients.discard(fields["client"])
        if "input" in fields and not isinstance(fields["input"], str):
            fields["input"] = json.dumps(fields["input"], ensure_ascii=False)
        return {name: value for name, value in fields.items() if value is not None}

    def _known(self, name: str) -> tuple[int, str]:
        label = resolved(name, self._variables)
        if label not in self._pending:
            raise Mismatch(f"no command that is pending has the name {label}")
        return self._pending[label]

    def _taken(self, name: str) -> tuple[int, str]:
        known = self._known(name)
        del self._pending[resolved(name, self._variables)]
        return known

    async def _compare(self, number: int, verb: str, step: Mapping[str, Any]) -> None:
        answer = await self._executor.answer(number)
        self._executor.check()
        check_answer(verb, answer)
        if "either" in step:
            match({"$any_of": step["either"]}, answer, self._variables)
        elif "error" in step:
            if "error" not in answer:
                raise Mismatch(f"it was answered {shown(answer['ok'])} instead of an error")
            match(step["error"], answer["error"], self._variables, "error")
        elif "ok" not in answer:
            raise Mismatch(f"it failed: {shown(answer['error'])}")
        else:
            match(step.get("ok", {}), answer["ok"], self._variables, "ok")


async def play(scenario: Scenario, executor: Executor, gateways: Gateways, label: str) -> None:
    """Play a scenario; `label` is unlike that of any other play with this executor.

    Raises Mismatch or ExecutorError, which say what went wrong at which step.
    """
    async with AsyncExitStack() as stack:
        server = await gateways.lend(scenario.gateway, stack)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sgw")))
        gate = await stack.enter_async_context(listening_gate(directory / "gate"))
        key = f"key-{label}"
        observer = await stack.enter_async_context(AsyncInference(key, server.address))
        variables = _given(server) | {"api_key": key, "gate": gate.path, "directory": str(directory)}
        actions = Actions(server, executor, gate, observer, variables)
        run = Play(label, executor, actions, variables)
        try:
            async with asyncio.timeout(SCENARIO_DEADLINE):
                await run.begin()
                await run.steps(scenario.steps)
                if executor.usable:
                    await run.leave()
        except TimeoutError:
            await executor.kill()
            raise Mismatch(f"it was not over within {SCENARIO_DEADLINE:g} s") from None
        finally:
            await _tidy(server, observer)


def _given(server: RealGateway | FakeGateway) -> Variables:
    """Return what a scenario knows of its server."""
    files = {"ca": "ca.pem", "other_ca": "other_ca.pem", "cert": "client.pem", "key": "client.key"}
    tls = server.tls if isinstance(server, FakeGateway) else None
    return {"address": server.address} | ({name: tls.path(file) for name, file in files.items()} if tls else {})


async def _tidy(server: RealGateway | FakeGateway, observer: AsyncInference) -> None:
    """Give back the workers of sessions that a scenario has left, so that the next one finds room."""
    if isinstance(server, RealGateway):
        try:
            async for session in observer.sessions.list("active", timeout=5):
                await observer.sessions.end(session.id, timeout=5)
        except SessionGatewayError:
            return  # the gateway has been stopped, which took them with it


def _verb(step: Mapping[str, Any]) -> str:
    return next(key for key in step if key not in {"ok", "error", "either", "pending", "as", "steps"})


def _named(names: str | list[str], value: Any) -> Variables:
    return dict(zip(names, value, strict=True)) if isinstance(names, list) else {names: value}
