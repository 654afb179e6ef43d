"""One keepalive stream over sessions of several processes: each id goes to its process, and the answers come back in
the order in which the caller asked, but for those that a process has given together.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.errors import GatewayError, InvalidRequest, StoreUnavailable, Violation
from gateway.rpc import validation
from gateway.rpc.details import detail_of
from gateway.rpc.peers.link import PeerLost
from gateway.rpc.peers.neighbours import Peer
from gateway.rpc.raw import Failure, decoder
from gateway.sessions.keepalive import MAX_SESSIONS, MAX_UNREAD
from gateway.timing import RETRY_HINT
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb

Source = Callable[[Peer, AsyncIterator[bytes]], AsyncGenerator[bytes, None]]
"""Opens a keepalive stream in one process, with these requests."""


_decode = decoder(pb.DESCRIPTOR.services_by_name["SessionService"].methods_by_name["StreamKeepalive"])


@dataclass(eq=False, slots=True)
class _Asked:
    """One id that the caller has sent, and its answer once that is there; empty when it was given with others'."""

    session_id: str
    answer: bytes | None = None


class _Part:
    """The stream in one process."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.waiting: dict[str, deque[_Asked]] = {}
        self.kept: set[str] = set()
        """The sessions of which this stream would send news."""


class KeepaliveFan:
    """One caller's stream."""

    def __init__(self, owner: Callable[[str], Peer], source: Source, here: Peer) -> None:
        """`here`: the process that serves the caller. When its stream ends, so does the caller's."""
        self._owner = owner
        self._source = source
        self._here = here
        self._parts: dict[Peer, _Part] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: deque[_Asked] = deque()
        self._on_stream: set[str] = set()
        self._together = False
        """Whether the caller understands answers that were given together."""
        self._unread: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield answers and news. Raises Failure, and InvalidRequest once all else is answered."""
        self._part(self._here)  # which says so when it goes, also to one all of whose sessions are elsewhere
        reader = asyncio.ensure_future(self._read(requests))
        reader.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                while self._unread:
                    yield self._unread.popleft()
                    self._room.set()
                if self._failure is not None:
                    raise self._failure
                if reader.done() and not self._tasks:
                    await reader
                    return
                self._changed.clear()
                await self._changed.wait()
        finally:
            reader.cancel()
            for task in self._tasks:
                task.cancel()

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        try:
            async for data in requests:
                message = _decode(data)
                assert isinstance(message, pb.StreamKeepaliveRequest)
                self._together = self._together or message.batch
                self._send(*validation.session_ids(message.session_ids))
                while len(self._asked) + len(self._unread) >= MAX_UNREAD:
                    self._room.clear()
                    await self._room.wait()
        finally:
            for part in self._parts.values():
                part.requests.put_nowait(None)

    def _send(self, session_ids: Sequence[str], wrong: Mapping[str, InvalidRequest]) -> None:
        for_owner: dict[Peer, list[str]] = {}
        for session_id in session_ids:
            asked = _Asked(session_id)
            self._asked.append(asked)
            if session_id in wrong:
                asked.answer = self._in_band(session_id, wrong[session_id])
                continue
            if session_id not in self._on_stream and len(self._on_stream) >= MAX_SESSIONS:
                problem = Violation("session_ids", f"more than {MAX_SESSIONS} sessions on one stream")
                asked.answer = self._in_band(session_id, InvalidRequest.of([problem]))
                continue
            self._on_stream.add(session_id)
            owner = self._owner(session_id)
            self._part(owner).waiting.setdefault(session_id, deque()).append(asked)
            for_owner.setdefault(owner, []).append(session_id)
        for owner, some in for_owner.items():
            request = pb.StreamKeepaliveRequest(session_ids=some, batch=self._together)
            self._parts[owner].requests.put_nowait(request.SerializeToString())
        self._pass_on()

    def _part(self, owner: Peer) -> _Part:
        part = self._parts.get(owner)
        if part is None:
            part = self._parts[owner] = _Part()
            task = asyncio.get_running_loop().create_task(self._follow(owner, part))
            self._tasks.add(task)
            task.add_done_callback(self._followed)
        return part

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
        self._changed.set()

    def _failed(self, failure: BaseException) -> None:
        """End the stream. What is known is told before, though some that was asked for earlier never will be."""
        self._failure = self._failure or failure
        self._unread.extend(asked.answer for asked in self._asked if asked.answer)
        self._asked.clear()

    async def _follow(self, owner: Peer, part: _Part) -> None:
        """Take the answers of one process until it has no more, or is gone."""
        try:
            async with aclosing(self._source(owner, _all_of(part.requests))) as answers:
                async for data in answers:
                    self._answered(part, data)
        except PeerLost:
            self._lost(owner, part)
        except Failure as failure:
            self._failed(failure)

    def _answered(self, part: _Part, data: bytes) -> None:
        answer = pb.StreamKeepaliveResponse.FromString(data)
        if answer.renewed:
            self._unread.append(data)
            for group in answer.renewed:
                for session_id in group.session_ids:
                    part.kept.add(session_id)
                    _answer(part, session_id, b"")
            self._pass_on()
            return
        over = answer.HasField("error") and answer.error.code != errors_pb2.ERROR_CODE_STORE_UNAVAILABLE
        (part.kept.discard if over else part.kept.add)(answer.session_id)
        if over:
            self._on_stream.discard(answer.session_id)
        # News of a session may come in the place of its answer, which then comes as the news: they say the same.
        if not _answer(part, answer.session_id, data):
            self._unread.append(data)
        self._pass_on()

    def _lost(self, owner: Peer, part: _Part) -> None:
        """The process is gone. Its sessions live on, and the caller is told to ask for each of them again."""
        if self._parts.get(owner) is part:
            del self._parts[owner]
        for session_id, waiting in part.waiting.items():
            part.kept.discard(session_id)
            for asked in waiting:
                asked.answer = self._away(session_id)
        self._pass_on()
        self._unread.extend(map(self._away, part.kept))

    def _pass_on(self) -> None:
        while self._asked and (answer := self._asked[0].answer) is not None:
            if answer:
                self._unread.append(answer)
            self._asked.popleft()
        self._changed.set()

    def _away(self, session_id: str) -> bytes:
        why = "the gateway that has this session is being started again"
        return self._in_band(session_id, StoreUnavailable(why, session_id=session_id, retry_after=RETRY_HINT))

    def _in_band(self, session_id: str, error: GatewayError) -> bytes:
        return pb.StreamKeepaliveResponse(session_id=session_id, error=detail_of(error)).SerializeToString()


def _answer(part: _Part, session_id: str, data: bytes) -> bool:
    """Give an answer to the first who waits for it. Returns whether anyone did."""
    waiting = part.waiting.get(session_id)
    if waiting is None:
        return False
    waiting.popleft().answer = data
    if not waiting:
        del part.waiting[session_id]
    return True


async def _all_of(requests: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    while (data := await requests.get()) is not None:
        yield data
