"""The answering end of a connection from another gateway process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from gateway.rpc.peers.wire import PART_WINDOW, CallFrame, Connection, Flag, Kind, pack_failure, unpack_call
from gateway.rpc.raw import Failure
from gateway.sessions.requests import Caller


class Host(Protocol):
    """Answers what comes in. Each raises Failure."""

    streaming: Sequence[bool]
    """Which methods, by their numbers, answer with a stream."""
    bidirectional: Sequence[bool]
    """Which of those have a stream of requests too."""

    async def answer(self, method: int, data: bytes, caller: Caller, flags: Flag) -> bytes:
        """Answer a request."""

    def parts(self, method: int, data: bytes, caller: Caller, flags: Flag) -> AsyncGenerator[bytes, None]:
        """Answer a request with a stream."""

    def dialogue(self, method: int, requests: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer a stream of requests."""

    def is_for_another(self, call: CallFrame) -> bool:
        """Whether what came in is for somebody else after all."""

    def origin(self) -> float:
        """Return the moment from which deadlines are told."""

    def hinted(self, kind: int, body: bytes) -> None:
        """Take a hint."""


class _Window:
    """How much of a stream's answers is on its way."""

    def __init__(self) -> None:
        self._unread = 0
        self._room = asyncio.Event()

    def read(self, size: int) -> None:
        self._unread -= size
        self._room.set()

    async def sent(self, size: int) -> None:
        self._unread += size
        while self._unread >= PART_WINDOW:
            self._room.clear()
            await self._room.wait()


class Visitor(Connection):
    """Runs the calls of one other process. When that is gone, so are its callers: all are cancelled."""

    def __init__(self, host: Host, on_lost: Callable[["Visitor"], object]) -> None:
        super().__init__()
        self._host = host
        self._on_lost = on_lost
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._windows: dict[int, _Window] = {}
        self._inputs: dict[int, asyncio.Queue[bytes | None]] = {}

    def received(self, kind: int, number: int, body: bytes) -> None:
        if kind == Kind.CALL:
            self._call(number, unpack_call(body))
        elif kind == Kind.CANCEL:
            if (task := self._tasks.get(number)) is not None:
                task.cancel()
        elif kind == Kind.CREDIT:
            if (window := self._windows.get(number)) is not None:
                window.read(int.from_bytes(body, "big"))
        elif kind in (Kind.INPUT, Kind.INPUT_END):
            if (inputs := self._inputs.get(number)) is not None:
                inputs.put_nowait(body if kind == Kind.INPUT else None)
        else:
            self._host.hinted(kind, body)

    def lost(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._on_lost(self)

    def _call(self, number: int, call: CallFrame) -> None:
        if self._host.is_for_another(call):
            self.send(Kind.NOT_MINE, number)
            return
        until = None if call.deadline is None else call.deadline + self._host.origin()
        caller = Caller(call.principal, until, call.admin, call.trace)
        work: Coroutine[Any, Any, None]
        if self._host.bidirectional[call.method]:
            inputs = self._inputs[number] = asyncio.Queue()
            work = self._send_parts(number, self._host.dialogue(call.method, _all_of(inputs), caller))
        elif self._host.streaming[call.method]:
            work = self._send_parts(number, self._host.parts(call.method, call.data, caller, call.flags))
        else:
            work = self._send_answer(number, call, caller)
        task = self._tasks[number] = asyncio.get_running_loop().create_task(work)
        # Not in the coroutine: one that is cancelled before its first step never runs.
        task.add_done_callback(lambda _: self._forget(number))

    def _forget(self, number: int) -> None:
        self._tasks.pop(number, None)
        self._windows.pop(number, None)
        self._inputs.pop(number, None)

    async def _send_answer(self, number: int, call: CallFrame, caller: Caller) -> None:
        try:
            answer = await self._host.answer(call.method, call.data, caller, call.flags)
        except Failure as failure:
            self.send(Kind.FAILURE, number, pack_failure(failure))
        else:
            self.send(Kind.ANSWER, number, answer)

    async def _send_parts(self, number: int, parts: AsyncGenerator[bytes, None]) -> None:
        window = self._windows[number] = _Window()
        try:
            async with aclosing(parts) as stream:
                async for part in stream:
                    self.send(Kind.PART, number, part)
                    await window.sent(len(part))
        except Failure as failure:
            self.send(Kind.FAILURE, number, pack_failure(failure))
        else:
            self.send(Kind.END, number)


async def _all_of(inputs: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    while (data := await inputs.get()) is not None:
        yield data
