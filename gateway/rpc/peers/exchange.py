"""Takes every request of one gateway process to the process that it is for, which may be this one."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import cast

from gateway.board import Figure, Member
from gateway.clock import Clock
from gateway.errors import CallInterrupted, GatewayDraining, GatewayError, RunState
from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.keepalive import KeepaliveFan
from gateway.rpc.peers.link import Link, PeerLost
from gateway.rpc.peers.routes import Routes
from gateway.rpc.peers.wire import CallFrame, Flag, Kind
from gateway.rpc.raw import CALLS, Failure, Methods
from gateway.sessions.requests import Caller
from gateway.timing import RETRY_HINT
from gateway.workers.runtime import peer_socket
from sessiongateway.v1 import apps_pb2

logger = logging.getLogger("gateway.rpc")

_OF_SESSIONS = frozenset({"GetSession", "Keepalive", "EndSession"})


class Exchange:
    """The requests of one process among several, in and out. Whoever calls `start` calls `close`."""

    def __init__(self, member: Member, routes: Routes, directory: Path, clock: Clock) -> None:
        """`directory` is that of the workers, where the sockets of the processes are too."""
        self.on_hint: dict[int, Callable[[bytes], object]] = {}
        """Who is told of hints, by their kind."""
        self.outgoing = 0
        """Requests of callers here that another process is to answer."""
        self._member = member
        self._routes = routes
        self._directory = directory
        self._clock = clock
        self._links: dict[int, Link] = {}
        self._aside: dict[int, Link] = {}
        self._connecting: dict[int, asyncio.Task[Link]] = {}
        self._visitors: set[Visitor] = set()
        self._server: asyncio.Server | None = None
        self._hinting: set[asyncio.Task[None]] = set()

    def serve(self, local: Methods) -> None:
        """Take what answers a request in this process. Called once, before anything else."""
        self._local = local
        self._names = sorted(local.methods)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self.streaming: Sequence[bool] = [local.methods[name].server_streaming for name in self._names]
        self.bidirectional: Sequence[bool] = [local.methods[name].client_streaming for name in self._names]

    async def start(self) -> None:
        """Let the other processes in."""
        path = peer_socket(self._directory, self._member.index)
        path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._visitor, str(path))
        os.chmod(path, 0o600)  # noqa: PTH101  # and nobody else reaches it before: the directory is 0700

    async def close(self) -> None:
        """Close all connections, after what was sent is written."""
        for task in (*self._connecting.values(), *self._hinting):
            task.cancel()
        for connection in (*self._links.values(), *self._aside.values(), *self._visitors):
            connection.close()
        if self._server is not None:
            self._server.close()
            peer_socket(self._directory, self._member.index).unlink(missing_ok=True)

    async def unary(self, name: str, data: bytes, caller: Caller) -> bytes:
        """Answer a request. Raises Failure."""
        if name == "Run":
            owner, flags = self._routes.of_call(data, caller.principal)
        elif name in _OF_SESSIONS:
            owner, flags = self._routes.of_session(data), Flag.NONE
        elif name == "GetApp":
            return await self._app(data, caller)
        else:
            owner, flags = self._member.index, Flag.NONE
        if owner == self._member.index:
            return await self.answer(self._numbers[name], data, caller, flags)
        self.outgoing += 1
        try:
            link = self._links.get(owner) or await self._linked(owner)
            return await link.unary(self._frame(name, flags, caller, data))
        except PeerLost as lost:
            raise self._away(name, lost, data, caller) from None
        finally:
            self.outgoing -= 1

    async def stream(self, name: str, data: bytes, caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer a request with a stream. Raises Failure."""
        owner, flags = self._member.index, Flag.NONE
        if name == "RunStream":
            owner, flags = self._routes.of_call(data, caller.principal)
        if owner == self._member.index:
            async with aclosing(self.parts(self._numbers[name], data, caller, flags)) as parts:
                async for part in parts:
                    yield part
            return
        self.outgoing += 1
        try:
            link = self._links.get(owner) or await self._linked(owner)
            async with aclosing(link.stream(self._frame(name, flags, caller, data))) as parts:
                async for part in parts:
                    yield part
        except PeerLost as lost:
            raise self._away(name, lost, data, caller) from None
        finally:
            self.outgoing -= 1

    async def bidi(self, name: str, requests: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer the requests of a keepalive stream, whose sessions may be in any process. Raises Failure."""

        def source(owner: int, some: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            if owner == self._member.index:
                return self._local.bidi(name, some, caller)
            return self._bidi_there(owner, self._frame(name, Flag.HERE, caller, b""), some)

        fan = KeepaliveFan(self._routes.of_id, source)
        try:
            async with aclosing(fan.run(requests)) as answers:
                async for answer in answers:
                    yield answer
        except GatewayError as error:
            raise self._local.failures.of(self._local.methods[name], error) from None

    async def answer(self, method: int, data: bytes, caller: Caller, flags: Flag) -> bytes:
        """Answer in this process. See `Host`."""
        if flags & Flag.PLAIN:
            self._count_plain(1)
            try:
                return await self._local.unary(self._names[method], data, caller)
            finally:
                self._count_plain(-1)
        return await self._local.unary(self._names[method], data, caller)

    async def parts(self, method: int, data: bytes, caller: Caller, flags: Flag) -> AsyncGenerator[bytes, None]:
        """Answer in this process. See `Host`."""
        plain = 1 if flags & Flag.PLAIN else 0
        self._count_plain(plain)
        try:
            async with aclosing(self._local.stream(self._names[method], data, caller)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._count_plain(-plain)

    def dialogue(self, method: int, requests: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer in this process. See `Host`."""
        return self._local.bidi(self._names[method], requests, caller)

    def hint(self, other: int, kind: Kind, body: bytes = b"") -> None:
        """Tell another process something that it would find out later by itself. Nothing happens if it is not there."""
        link = self._links.get(other)
        if link is not None:
            link.send(kind, 0, body)
        elif self._member.serving(other):
            task = asyncio.get_running_loop().create_task(self._hint(other, kind, body))
            self._hinting.add(task)
            task.add_done_callback(self._hinting.discard)

    def look(self) -> None:
        """Look which processes do not answer. Called often, so that no call has to.

        Requests for one of those are refused from then on. Those that it has already go on waiting: it may come back,
        and closing the connection would cancel them.
        """
        for other in self._member.others():
            if self._member.hangs(other):
                if (link := self._links.pop(other, None)) is not None:
                    self._aside[other] = link
            elif (link := self._aside.pop(other, None)) is not None and link.is_open:
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
            *(self._asked(other, frame) for other in self._member.others() if self._member.serving(other)),
        )
        whole = apps_pb2.GetAppResponse.FromString(here)
        for answer in there:
            whole.app.idle_worker_ids.extend(apps_pb2.GetAppResponse.FromString(answer).app.idle_worker_ids)
        return whole.SerializeToString()

    async def _asked(self, other: int, frame: CallFrame) -> bytes:
        try:
            return await (await self._linked(other)).unary(frame)
        except (Failure, PeerLost):
            return b""

    async def _bidi_there(
        self, owner: int, frame: CallFrame, some: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        link = await self._linked(owner)
        async with aclosing(link.stream(frame, some)) as answers:
            async for answer in answers:
                yield answer

    async def _hint(self, other: int, kind: Kind, body: bytes) -> None:
        try:
            (await self._linked(other)).send(kind, 0, body)
        except PeerLost:
            logger.debug("gateway process %d is not there to be told", other)

    def _frame(self, name: str, flags: Flag, caller: Caller, data: bytes) -> CallFrame:
        number, deadline = self._numbers[name], caller.deadline
        return CallFrame(number, flags, deadline, caller.principal, data, caller.admin, caller.trace)

    def _count_plain(self, change: int) -> None:
        self._member.show(Figure.PLAIN, self._member.shown(Figure.PLAIN) + change)

    async def _linked(self, owner: int) -> Link:
        """Return the connection to another process. Raises PeerLost."""
        link = self._links.get(owner)
        if link is not None:
            return link
        if not self._member.serving(owner):
            raise PeerLost(sent=False)
        task = self._connecting.get(owner)
        if task is None:
            task = self._connecting[owner] = asyncio.get_running_loop().create_task(self._connect(owner))
            task.add_done_callback(lambda _: self._connecting.pop(owner))
        try:
            return await asyncio.shield(task)
        except OSError:
            raise PeerLost(sent=False) from None

    async def _connect(self, owner: int) -> Link:
        path = str(peer_socket(self._directory, owner))
        link = (await asyncio.get_running_loop().create_unix_connection(lambda: _Link(self._links, owner), path))[1]
        return cast(Link, link)

    def _visitor(self) -> Visitor:
        visitor = Visitor(self, self._visitors.discard)
        self._visitors.add(visitor)
        return visitor

    def _away(self, name: str, lost: PeerLost, data: bytes, caller: Caller) -> Failure:
        """Return what a caller is told whose request was for a process that is not there."""
        session_id = self._routes.session_of(name, data)
        if lost.sent and name in CALLS:
            error: GatewayError = CallInterrupted(
                "the gateway process that ran the call has ended; if it was a session's, its worker goes on with it",
                metadata={"sessionId": session_id},
                session_id=session_id,
                run_state=RunState.UNKNOWN,
            )
        else:
            error = GatewayDraining(
                "the gateway process that this is for does not answer, or is being started again",
                session_id=session_id,
                run_state=RunState.NOT_STARTED,
                retry_after=RETRY_HINT,
            )
        error.trace_id = "" if caller.trace is None else caller.trace.trace_id
        return self._local.failures.of(self._local.methods[name], error)


class _Link(Link):
    """One that is among the links for as long as it is open."""

    def __init__(self, links: dict[int, Link], owner: int) -> None:
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
