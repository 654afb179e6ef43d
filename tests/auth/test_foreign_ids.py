"""A session of somebody else is, to everybody but an admin, as if it had never been: in what is told, and in what is
done to find that out.
"""

import asyncio
import gc
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import zip_longest
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway.rpc.raw import Failure
from gateway.sessions.requests import Caller
from sessiongateway.v1 import sessions_pb2 as pb
from tools.fuzz.requests import Service

OWNER, OTHER = Caller("owner"), Caller("other")
UNKNOWN = "sess_" + "a" * 26


class Trail:
    """What the gateway does: the functions that it calls, and the statements that it gives SQLite."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def follow(self, work: Callable[[], Awaitable[object]]) -> None:
        def step(frame: FrameType, event: str, arg: Any) -> None:
            if asyncio.current_task() is None or "gateway" not in frame.f_code.co_filename:
                return  # a timer's, which nobody has asked for, or what is done when an object goes
            if event == "call":
                statement = frame.f_locals.get("statement", "") if "sqlite" in frame.f_code.co_filename else ""
                self.steps.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname} {statement}")
            elif event == "c_call":
                self.steps.append(f"{frame.f_code.co_qualname} calls {arg.__name__}")

        before = sys.getprofile()
        gc.disable()  # what other tests have left would be taken apart here, in the middle of a request
        sys.setprofile(step)
        try:
            await work()
        finally:
            sys.setprofile(before)
            gc.enable()


class Probe:
    """Somebody who asks for sessions, at a gateway in memory whose store is followed."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def opened(self) -> str:
        """Open a session of the owner's, whose first call is not on record as ended yet."""
        request = pb.RunRequest(app="app", session="new", input_json=b"{}")
        answer = await self._service.methods.unary("Run", request.SerializeToString(), OWNER)
        return pb.RunResponse.FromString(answer).session_id

    async def settled(self, session_id: str) -> str:
        """Have what is known of it written down."""
        await self._service.manager.get(session_id, OWNER)
        return session_id

    async def ended(self, session_id: str) -> str:
        """End it."""
        await self._service.manager.end(session_id, OWNER)
        return session_id

    async def told(self, method: str, session_id: str) -> tuple[Any, list[str]]:
        """Ask as another caller. Returns what that one is told, without the id, and the way there."""
        trail, answers = Trail(), list[Any]()
        await trail.follow(lambda: self._ask(method, session_id, answers))
        return answers, trail.steps

    async def _ask(self, method: str, session_id: str, answers: list[Any]) -> None:
        methods = self._service.methods
        try:
            if method.startswith("StreamKeepalive"):
                data = pb.StreamKeepaliveRequest(
                    session_ids=[session_id], batch=method.endswith("batch")
                ).SerializeToString()

                async def requests() -> AsyncIterator[bytes]:
                    yield data

                answers += [
                    _without(session_id, each) async for each in methods.bidi("StreamKeepalive", requests(), OTHER)
                ]
            elif method == "RunStream":
                async for _ in methods.stream(method, _call(session_id), OTHER):
                    pytest.fail("a call of somebody else's session")
            elif method == "Run":
                await methods.unary(method, _call(session_id), OTHER)
            else:
                await methods.unary(method, pb.GetSessionRequest(session_id=session_id).SerializeToString(), OTHER)
        except Failure as failure:
            answers.append(
                (failure.status, failure.message.replace(session_id, "ID"), _without(session_id, failure.details))
            )


def _call(session_id: str) -> bytes:
    return pb.RunRequest(app="app", session=session_id, input_json=b"{}").SerializeToString()


def _without(session_id: str, data: bytes) -> bytes:
    return re.sub(rb"call_[a-z2-7]+", b"CALL", data.replace(session_id.encode(), b"ID"))


@pytest.fixture
async def probe(tmp_path: Path) -> AsyncIterator[Probe]:
    async with AsyncExitStack() as stack:
        service = await Service.start(tmp_path / "gateway")
        stack.push_async_callback(service.close)
        yield Probe(service)


STATES = ["a call has just ended in it", "it is idle", "it has ended"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "method", ["GetSession", "Keepalive", "EndSession", "Run", "RunStream", "StreamKeepalive", "StreamKeepalive, batch"]
)
async def test_a_foreign_session_and_one_that_never_was_are_told_alike_and_take_the_same_steps(
    probe: Probe, method: str, state: str
) -> None:
    session_id = await probe.opened()
    if state != STATES[0]:
        await probe.settled(session_id)
    if state == STATES[2]:
        await probe.ended(session_id)
    await probe.told(method, UNKNOWN)  # what is only done the first time
    unknown, steps = await probe.told(method, UNKNOWN)
    foreign, taken = await probe.told(method, session_id)
    assert unknown == foreign
    # Only where they part: to compare thousands of steps for a report takes minutes.
    assert [both for both in zip_longest(steps, taken) if both[0] != both[1]][:1] == []
    assert any("SELECT" in step for step in taken)
