"""Takes every request of one gateway process to the process that it is for, which may be this one."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

import grpc

from gateway.errors import CallInterrupted, GatewayDraining, GatewayError, RunState
from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.keepalive import KeepaliveFan
from gateway.rpc.peers.link import Link, NotMine, PeerLost
from gateway.rpc.peers.neighbours import NOBODY, Neighbours, Peer, Routing
from gateway.rpc.peers.requests import OF_SESSIONS
from gateway.rpc.peers.wire import CallFrame, Flag, Kind
from gateway.rpc.raw import CALLS, Failure, Methods
from gateway.sessions.requests import Caller
from gateway.timing import PEER_READY_WORKERS, RETRY_HINT
from sessiongateway.v1 import apps_pb2

logger = logging.getLogger("gateway.rpc")


class Exchange:
    """The requests of one process, or gateway, among several, in and out. Whoever calls `start` calls `close`."""

    def __init__(self, neighbours: Neighbours, routing: Routing) -> None:
        self.on_hint: dict[int, Callable[[bytes], object]] = {}
        """Who is told of hints, by their kind."""
        self.outgoing = 0
        """Requests of callers here that another process is to answer."""
        self._neighbours = neighbours
        self._routing = routing
        self.origin = neighbours.origin
        self._links: dict[Peer, Link] = {}
        self._aside: dict[Peer, Link] = {}
        self._connecting: dict[Peer, asyncio.Task[Link]] = {}
        self._visitors: set[Visitor] = set()
        self._hinting: set[asyncio.Task[None]] = set()

    def serve(self, local: Methods) -> None:
        """Take what answers a request in this process. Called once, before anything else."""
        self._local = local
        self._names = sorted(local.methods)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self.streaming: Sequence[bool] = [local.methods[name].server_streaming for name in self._names]
        self.bidirectional: Sequence[bool] = [local.methods[name].client_streaming for name in self._names]

    async def start(self) -> None:
        """Let the others in. Raises OSError."""
        await self._neighbours.listen(self._visitor)

    async def close(self) -> None:
        """Close all connections, after what was sent is written."""
        for task in (*self._connecting.values(), *self._hinting):
            task.cancel()
        for connection in (*self._links.values(), *self._aside.values(), *self._visitors):
            connection.close()
        self._neighbours.close()

    async def unary(self, name: str, data: bytes, caller: Caller) -> bytes:
        """Answer a request. Raises Failure."""
        if name == "GetApp":
            return await self._app(data, caller)
        owner, flags = self._owner(name, data, caller)
        if owner == NOBODY:
            owner, flags = await self._looked_up(name, data, caller)
        if owner == self._neighbours.here:
            return await self.answer(self._numbers[name], data, caller, flags)
        self.outgoing += 1
        try:
            return await self._elsewhere(owner, flags, name, data, caller)
        except PeerLost as lost:
            raise self._away(name, lost, data, caller) from None
        finally:
            self.outgoing -= 1

    async def stream(self, name: str, data: bytes, caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer a request with a stream. Raises Failure."""
        owner, flags = self._owner(name, data, caller)
        if owner == NOBODY:
            owner, flags = await self._looked_up(name, data, caller)
        if owner == self._neighbours.here:
            async with aclosing(self.parts(self._numbers[name], data, caller, flags)) as parts:
                async for part in parts:
                    yield part
            return
        self.outgoing += 1
        try:
            async with aclosing(self._stream_elsewhere(owner, flags, name, data, caller)) as parts:
                async for part in parts:
                    yield part
        except PeerLost as lost:
            raise self._away(name, lost, data, caller) from None
        finally:
            self.outgoing -= 1

    def _owner(self, name: str, data: bytes, caller: Caller) -> tuple[Peer, Flag]:
        if name in CALLS:
            return self._routing.of_call(data, caller.principal)
        if name in OF_SESSIONS:
            return self._routing.of_session(data), Flag.NONE
        return self._neighbours.here, Flag.NONE

    async def _elsewhere(self, owner: Peer, flags: Flag, name: str, data: bytes, caller: Caller) -> bytes:
        while True:
            if owner == self._neighbours.here:
                return await self.answer(self._numbers[name], data, caller, flags)
            try:
                link = self._links.get(owner) or await self._linked(owner)
                return await link.unary(self._frame(name, flags, caller, data))
            except (NotMine, PeerLost) as error:
                owner, flags = await self._moved(error, owner, name, data, caller)

    async def _stream_elsewhere(
        self, owner: Peer, flags: Flag, name: str, data: bytes, caller: Caller
    ) -> AsyncGenerator[bytes, None]:
        while True:
            try:
                if owner == self._neighbours.here:
                    source = self.parts(self._numbers[name], data, caller, flags)
                else:
                    link = self._links.get(owner) or await self._linked(owner)
                    source = link.stream(self._frame(name, flags, caller, data))
                async with aclosing(source) as parts:
                    async for part in parts:
                        yield part
            except (NotMine, PeerLost) as error:
                owner, flags = await self._moved(error, owner, name, data, caller)
            else:
                return

    async def _moved(
        self, error: NotMine | PeerLost, asked: Peer, name: str, data: bytes, caller: Caller
    ) -> tuple[Peer, Flag]:
        """Return who is to answer, after one who was asked has not. Raises PeerLost when that is nobody else."""
        lost = error if isinstance(error, PeerLost) else PeerLost(sent=False)
        if lost.sent:
            raise lost
        owner, flags = await self._looked_up(name, data, caller)
        if owner == asked:
            raise lost
        return owner, flags

    async def _looked_up(self, name: str, data: bytes, caller: Caller) -> tuple[Peer, Flag]:
        """Return who is to answer by what is so now; what nobody is known to have is answered here."""
        await self._neighbours.look_again()
        owner, flags = self._owner(name, data, caller)
        return (self._neighbours.here if owner == NOBODY else owner), flags

    async def bidi(self, name: str, requests: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer the requests of a keepalive stream, whose sessions may be in any process. Raises Failure."""

        def source(owner: Peer, some: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            if owner in (self._neighbours.here, NOBODY):
                return self._local.bidi(name, some, caller)
            return self._bidi_there(owner, self._frame(name, Flag.HERE, caller, b""), some)

        fan = KeepaliveFan(self._routing.of_id, source, self._neighbours.here)
        try:
            async with aclosing(fan.run(requests)) as answers:
                async for answer in answers:
                    yield answer
        except GatewayError as error:
            raise self._local.failures.of(self._local.methods[name], error) from None

    async def answer(self, method: int, data: bytes, caller: Caller, flags: Flag) -> bytes:
        """Answer in this process. See `Host`."""
        if flags & Flag.PLAIN:
            self._neighbours.count_plain(1)
            try:
                return await self._local.unary(self._names[method], data, caller)
            finally:
                self._neighbours.count_plain(-1)
        return await self._local.unary(self._names[method], data, caller)

    async def parts(self, method: int, data: bytes, caller: Caller, flags: Flag) -> AsyncGenerator[bytes, None]:
        """Answer in this process. See `Host`."""
        plain = bool(flags & Flag.PLAIN)
        if plain:
            self._neighbours.count_plain(1)
        try:
            async with aclosing(self._local.stream(self._names[method], data, caller)) as parts:
                async for part in parts:
                    yield part
        finally:
            if plain:
                self._neighbours.count_plain(-1)

    def dialogue(self, method: int, requests: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer in this process. See `Host`."""
        return self._local.bidi(self._names[method], requests, caller)

    def is_for_another(self, call: CallFrame) -> bool:
        """Whether a request is for somebody else. See `Host`."""
        return not call.flags & Flag.HERE and self._routing.is_for_another(self._names[call.method], call.data)

    def hint(self, other: Peer, kind: Kind, body: bytes = b"") -> None:
        """Tell another process something that it would find out later by itself. Nothing happens if it is not there."""
        link = self._links.get(other)
        if link is not None:
            link.send(kind, 0, body)
        elif self._neighbours.serving(other):
            task = asyncio.get_running_loop().create_task(self._hint(other, kind, body))
            self._hinting.add(task)
            task.add_done_callback(self._hinting.discard)

    def look(self) -> None:
        """Look which processes do not answer. Called often, so that no call has to.

        Requests for one of those are refused from then on. Those that it has already go on waiting: it may come back,
        and closing the connection would cancel them.
        """
        for other in list(self._links):
            if self._neighbours.gone(other):
                self._links[other].abort()
            elif self._neighbours.hangs(other):
                self._aside[other] = self._links.pop(other)
        for other, link in list(self._aside.items()):
            if self._neighbours.gone(other):
                link.abort()
            if not self._neighbours.hangs(other):
                del self._aside[other]
                if link.is_open:
                    self._links.setdefault(other, link)

    def hinted(self, kind: int, body: bytes) -> None:
        """Take a hint. See `Host`."""
        if (told := self.on_hint.get(kind)) is not None:
            told(body)

    async def _app(self, data: bytes, caller: Caller) -> bytes:
        """Describe an app with the ready workers of all processes. One that does not answer has none."""
        frame = self._frame("GetApp", Flag.HERE, caller, data)
        here, *there = await asyncio.gather(
            self._local.unary("GetApp", data, caller),
            *(self._asked(other, frame) for other in self._neighbours.others()),
        )
        whole = apps_pb2.GetAppResponse.FromString(here)
        for answer in there:
            whole.app.idle_worker_ids.extend(apps_pb2.GetAppResponse.FromString(answer).app.idle_worker_ids)
        return whole.SerializeToString()

    async def _asked(self, other: Peer, frame: CallFrame) -> bytes:
        try:
            async with asyncio.timeout(PEER_READY_WORKERS):
                return await (await self._linked(other)).unary(frame)
        except (Failure, PeerLost, TimeoutError):
            return b""

    async def _bidi_there(
        self, owner: Peer, frame: CallFrame, some: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        link = await self._linked(owner)
        try:
            async with aclosing(link.stream(frame, some)) as answers:
                async for answer in answers:
                    yield answer
        except Failure as failure:
            if failure.status is not grpc.StatusCode.UNAVAILABLE:
                raise
            # It stops: no reason for the caller's stream to end, whose other sessions it does not have.
            raise PeerLost(sent=True) from None

    async def _hint(self, other: Peer, kind: Kind, body: bytes) -> None:
        try:
            (await self._linked(other)).send(kind, 0, body)
        except PeerLost:
            logger.debug("gateway process %s is not there to be told", other)

    def _frame(self, name: str, flags: Flag, caller: Caller, data: bytes) -> CallFrame:
        number, deadline = self._numbers[name], caller.deadline
        if deadline is not None:
            deadline -= self.origin()
        return CallFrame(number, flags, deadline, caller.principal, data, caller.admin, caller.trace)

    async def _linked(self, owner: Peer) -> Link:
        """Return the connection to another process. Raises PeerLost."""
        link = self._links.get(owner)
        if link is not None:
            return link
        if not self._neighbours.serving(owner):
            raise PeerLost(sent=False)
        task = self._connecting.get(owner)
        if task is None:
            task = self._connecting[owner] = asyncio.get_running_loop().create_task(self._connect(owner))
            task.add_done_callback(lambda _: self._connecting.pop(owner))
        try:
            return await asyncio.shield(task)
        except OSError:
            raise PeerLost(sent=False) from None

    async def _connect(self, owner: Peer) -> Link:
        return await self._neighbours.connect(owner, lambda: _Link(self._links, owner))

    def _visitor(self) -> Visitor:
        visitor = Visitor(self, self._visitors.discard)
        self._visitors.add(visitor)
        return visitor

    def _away(self, name: str, lost: PeerLost, data: bytes, caller: Caller) -> Failure:
        """Return what a caller is told whose request was for a process that is not there."""
        session_id = self._routing.session_of(name, data)
        if lost.sent and name in CALLS:
            error: GatewayError = CallInterrupted(
                "the gateway that ran the call has ended; if it was a session's, its worker goes on with it",
                metadata={"sessionId": session_id},
                session_id=session_id,
                run_state=RunState.UNKNOWN,
            )
        else:
            error = GatewayDraining(
                "the gateway that this is for does not answer, or is being started again",
                session_id=session_id,
                run_state=RunState.NOT_STARTED,
                retry_after=RETRY_HINT,
            )
        error.trace_id = "" if caller.trace is None else caller.trace.trace_id
        return self._local.failures.of(self._local.methods[name], error)


class _Link(Link):
    """One that is among the links for as long as it is open."""

    def __init__(self, links: dict[Peer, Link], owner: Peer) -> None:
        super().__init__()
        self._links = links
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._links[self._owner] = self

    def lost(self) -> None:
        if self._links.get(self._owner) is self:
            del self._links[self._owner]
        super().lost()
