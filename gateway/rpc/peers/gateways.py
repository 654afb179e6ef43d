"""The other gateways on the same store: over TCP, by the table of who has what."""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from google.protobuf.message import DecodeError

from gateway.clock import Clock
from gateway.model import SESSION_ID_PREFIX
from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.link import Link
from gateway.rpc.peers.neighbours import NOBODY, Neighbours, Peer, Routing
from gateway.rpc.peers.proving import Dialled, Dialling
from gateway.rpc.peers.requests import Heads
from gateway.rpc.peers.wire import Flag
from gateway.sessions.requests import NEW
from gateway.shards import Peer as Gateway
from gateway.shards import Shards
from gateway.timing import PEER_CONNECT


class Gateways(Neighbours):
    """Gateways are known by their writers, of which each start has a new one."""

    def __init__(self, shards: Shards, clock: Clock, tls: "tuple[Path, Path, Path] | None" = None) -> None:
        """`tls`: files of the certificate, its key, and the authorities of the others. Raises OSError, ssl.SSLError."""
        self.secret = b""
        """What all of them know. Until it is known nobody is let in."""
        self.silent: Callable[[str], bool] = lambda name: False
        """Says of a gateway, by name, whether it has not been heard of for too long."""
        self.refresh: Callable[[], Awaitable[object]] | None = None
        """Asks the store anew who has what."""
        self._shards = shards
        self._clock = clock
        self._own_tls = None if tls is None else _context(ssl.Purpose.CLIENT_AUTH, *tls)
        self._their_tls = None if tls is None else _context(ssl.Purpose.SERVER_AUTH, *tls)
        self._server: asyncio.Server | None = None
        self._visitor: Callable[[], Visitor] | None = None
        self._visitors: dict[Visitor, str] = {}

    @property
    def here(self) -> Peer:
        own = self._shards.table.peers.get(self._shards.name)
        return "" if own is None else own.writer

    async def bind(self, address: str) -> str:
        """Take an address to listen on, and return it with its port. Raises OSError."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.get_running_loop().create_server(
            self._dialled, host.strip("[]"), int(port), ssl=self._own_tls, start_serving=False
        )
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def others(self) -> Iterable[Peer]:
        return [each.writer for each in self._shards.table.peers.values() if self._answers(each)]

    def serving(self, other: Peer) -> bool:
        gateway = self._of(other)
        return gateway is not None and self._answers(gateway)

    def hangs(self, other: Peer) -> bool:
        gateway = self._of(other)
        return gateway is not None and self.silent(gateway.name)

    def gone(self, other: Peer) -> bool:
        return self._of(other) is None

    async def listen(self, visitor: Callable[[], Visitor]) -> None:
        assert self._server is not None
        self._visitor = visitor
        await self._server.start_serving()

    async def connect(self, other: Peer, link: Callable[[], Link]) -> Link:
        gateway = self._of(other)
        if gateway is None or not gateway.address:
            raise ConnectionError("it is not there any more")
        host, _, port = gateway.address.rpartition(":")
        dialling = Dialling(self.secret, str(self.here), gateway.writer, link)
        try:
            async with asyncio.timeout(PEER_CONNECT):
                await asyncio.get_running_loop().create_connection(
                    lambda: dialling, host.strip("[]"), int(port), ssl=self._their_tls
                )
                return await dialling.linked
        except BaseException:
            if not dialling.linked.done():
                dialling.abort()
            raise

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def origin(self) -> float:
        return self._clock.now().monotonic

    async def look_again(self) -> None:
        if self.refresh is not None:
            await self.refresh()

    def look(self) -> None:
        """Have nothing more to do with those that are not among the gateways any more."""
        for visitor, writer in list(self._visitors.items()):
            if not visitor.is_open:
                del self._visitors[visitor]
            elif self._of(writer) is None:
                visitor.abort()

    def _answers(self, gateway: Gateway) -> bool:
        return bool(gateway.address) and gateway.name != self._shards.name and not self.silent(gateway.name)

    def _of(self, writer: Peer) -> Gateway | None:
        known = (*self._shards.table.peers.values(), *self._shards.missing.values())
        return next((each for each in known if each.writer == writer), None)

    def _dialled(self) -> Dialled:
        return Dialled(lambda: self.secret, lambda: str(self.here), self._let_in, PEER_CONNECT)

    def _let_in(self, writer: str) -> Visitor:
        assert self._visitor is not None
        visitor = self._visitor()
        self._visitors[visitor] = writer
        return visitor


class ShardRoutes(Routing):
    """Decides by the shard that an id carries. What has no id yet is for the gateway that got it."""

    def __init__(self, shards: Shards, neighbours: Gateways) -> None:
        self._shards = shards
        self._neighbours = neighbours
        self._heads = Heads()

    def of_call(self, data: bytes, principal: str) -> tuple[Peer, Flag]:
        try:
            head = self._heads.of_call(data)
        except DecodeError:
            return self._neighbours.here, Flag.NONE  # which says what is wrong
        if head.session and head.session != NEW:
            return self.of_id(head.session), Flag.NONE
        if head.session and head.worker_id:
            return self._of_shard(head.worker_id), Flag.NONE
        plain = Flag.NONE if head.session else Flag.PLAIN
        if head.request_id and not head.worker_id:
            return self._keeper(f"{principal}\n{head.request_id}"), plain
        return self._neighbours.here, plain

    def of_session(self, data: bytes) -> Peer:
        try:
            return self.of_id(self._heads.session_id(data))
        except DecodeError:
            return self._neighbours.here

    def of_id(self, session_id: str) -> Peer:
        return self._of_shard(session_id) if session_id.startswith(SESSION_ID_PREFIX) else self._neighbours.here

    def _of_shard(self, key: str) -> Peer:
        if self._shards.owns(key):
            return self._neighbours.here
        if not self._shards.knows(key):
            return NOBODY
        holder = self._shards.holder(key)
        # What is free, and what is kept for one who is not there, is answered from the records.
        return self._neighbours.here if holder is None or not holder.address else holder.writer

    def session_of(self, name: str, data: bytes) -> str:
        return self._heads.session_of(name, data)

    def is_for_another(self, name: str, data: bytes) -> bool:
        try:
            session_id = self._heads.session_of(name, data)
        except DecodeError:
            return False
        return bool(session_id) and self.of_id(session_id) not in (self._neighbours.here, NOBODY)

    def _keeper(self, key: str) -> Peer:
        """Return the gateway that remembers the answer to a request: the same for all that see the same gateways."""
        peers = self._shards.table.peers.values()
        there = [each for each in peers if each.name == self._shards.name or self._neighbours.serving(each.writer)]
        # Rendezvous hashing: when one goes, only what it had moves.
        best = max(there, key=lambda each: hashlib.sha256(f"{each.name}\n{key}".encode()).digest(), default=None)
        return self._neighbours.here if best is None else best.writer


def _context(purpose: ssl.Purpose, certificate: Path, key: Path, authorities: Path) -> ssl.SSLContext:
    """Return what both ends prove themselves with. Whoever an authority vouches for is one of the gateways: it is for
    them alone, and addresses of machines come and go.
    """
    context = ssl.create_default_context(purpose, cafile=str(authorities))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context
