"""The gateway's side of runs that answer in parts, played step by step."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sessiongateway.v1 import sessions_pb2
from tests.sdk.scripted import ScriptedGateway

Step = sessions_pb2.RunStreamResponse | Callable[[Any], Awaitable[object]]


def partial(text: str) -> sessions_pb2.RunStreamResponse:
    """Return a partial output of this JSON text."""
    return sessions_pb2.RunStreamResponse(partial_json=text.encode())


def result(text: str = "{}", session_id: str = "") -> sessions_pb2.RunStreamResponse:
    """Return a result of this JSON text, in a session of version v1 if it has an id."""
    response = sessions_pb2.RunResponse(session_id=session_id, output_json=text.encode(), call_id="call_1")
    if session_id:
        response.session.CopyFrom(
            sessions_pb2.Session(id=session_id, app="kv", version="v1", session_timeout=60, call_count=1)
        )
    return sessions_pb2.RunStreamResponse(result=response)


class StreamScript:
    """Answers each RunStream with one script after another, and the last one for ever."""

    def __init__(self, gateway: ScriptedGateway) -> None:
        self.cancelled = threading.Event()
        """A call was cancelled at one of the holds."""
        self.held = threading.Event()
        """A call waits at a hold."""
        self._gateway = gateway
        self._scripts: list[tuple[Step, ...]] = []
        self._released = asyncio.Event()
        gateway.answer_streams["RunStream"] = self._serve

    def play(self, *steps: Step) -> None:
        """Add a script: messages to send, and functions of the context to await."""
        self._scripts.append(steps)

    async def hold(self, context: Any) -> None:
        """Wait, as a step, until it is released or cancelled."""
        self.held.set()
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def release(self) -> None:
        """Let what is held go on, from any thread."""
        self._gateway.loop.call_soon_threadsafe(self._released.set)

    async def _serve(self, request: Any, context: Any) -> AsyncIterator[Any]:
        steps = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        for step in steps:
            if isinstance(step, sessions_pb2.RunStreamResponse):
                yield step
            else:
                await step(context)
