"""The calling end of a connection to another gateway process."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

from gateway.rpc.peers.wire import CallFrame, Connection, Kind, pack_call, unpack_failure


class PeerLost(Exception):
    """The other process is not there. `sent` says whether it may have had the request."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class NotMine(Exception):
    """The other one does not have the session, and has done nothing."""


class _Parts:
    """The answers of a stream that have come and are not yet read. Bounded by the sender's window."""

    def __init__(self) -> None:
        self._unread: deque[bytes] = deque()
        self._end: Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, part: bytes) -> None:
        self._unread.append(part)
        self._changed.set()

    def end(self, error: Exception | None) -> None:
        self._ended, self._end = True, error
        self._changed.set()

    @property
    def ended(self) -> bool:
        return self._ended

    async def next(self) -> bytes | None:
        """Return the next one, None at the end. Raises the error with which the stream ended."""
        while not self._unread:
            if self._end is not None:
                raise self._end
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._unread.popleft()


class Link(Connection):
    """Matches answers with calls."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._streams: dict[int, _Parts] = {}
        self._last = 0

    async def unary(self, call: CallFrame) -> bytes:
        """Return the answer to a request. Raises Failure, PeerLost, NotMine. One who is cancelled cancels it there."""
        number = self._begin(call)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            return await answer
        except asyncio.CancelledError:
            self.send(Kind.CANCEL, number)
            raise
        finally:
            self._answers.pop(number, None)

    async def stream(
        self, call: CallFrame, requests: AsyncIterator[bytes] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the answers to a request, or to `requests`. Raises Failure, PeerLost, NotMine.

        The other end waits when they are not read. Whoever stops iterating cancels it there.
        """
        number = self._begin(call)
        parts = self._streams[number] = _Parts()
        feeding = None if requests is None else asyncio.ensure_future(self._feed(number, requests))
        try:
            while (part := await parts.next()) is not None:
                self.send(Kind.CREDIT, number, len(part).to_bytes(4, "big"))
                yield part
        finally:
            if feeding is not None:
                feeding.cancel()
            if not parts.ended:
                self.send(Kind.CANCEL, number)
            self._streams.pop(number, None)

    def received(self, kind: int, number: int, body: bytes) -> None:
        answer = self._answers.get(number)
        if answer is not None:
            if answer.done():
                return
            if kind == Kind.ANSWER:
                answer.set_result(body)
            elif kind == Kind.NOT_MINE:
                answer.set_exception(NotMine())
            else:
                answer.set_exception(unpack_failure(body))
            return
        parts = self._streams.get(number)
        if parts is None:
            return  # its caller has left
        if kind == Kind.PART:
            parts.put(body)
        elif kind == Kind.END:
            parts.end(None)
        elif kind == Kind.NOT_MINE:
            parts.end(NotMine())
        elif kind == Kind.FAILURE:
            parts.end(unpack_failure(body))

    def lost(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(PeerLost(sent=True))
        for parts in self._streams.values():
            if not parts.ended:
                parts.end(PeerLost(sent=True))

    def _begin(self, call: CallFrame) -> int:
        if not self.is_open:
            raise PeerLost(sent=False)
        self._last = number = (self._last + 1) & 0xFFFFFFFF
        self.send(Kind.CALL, number, pack_call(call), call.data)
        return number

    async def _feed(self, number: int, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            self.send(Kind.INPUT, number, data)
        self.send(Kind.INPUT_END, number)
