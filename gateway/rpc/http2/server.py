"""The server: sockets, handlers, connections; with the interface of grpc.aio's as far as the gateway uses it."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from gateway.listening import stop_listening
from gateway.rpc.bounds import MAX_STREAMS, Bounds
from gateway.rpc.http2.call import Call, Method
from gateway.rpc.http2.connection import Connection
from gateway.rpc.http2.crowd import Crowd, Refused
from gateway.rpc.http2.encryption import Encrypted
from gateway.rpc.refusals import Refusals
from gateway.timing import HTTP2_GOODBYE

_BACKLOG = 4096

_ROUTES_KEPT = 1024

ContextOf: TypeAlias = Callable[[], ssl.SSLContext]
"""Asked for each new connection. The context must offer `h2` by ALPN."""


@dataclass(frozen=True)
class _CallDetails(grpc.HandlerCallDetails):
    method: str
    invocation_metadata: Any = ()


class Http2Server:
    """A gRPC server on the running event loop.

    `max_message` is the limit of one request message in bytes. `reuse_port` lets other processes listen on the same
    address. `refusals` is told of handshakes of TLS that fail. `bounds` is for how long connections may stay, and how
    many.
    """

    def __init__(
        self,
        max_message: int,
        *,
        max_streams: int = MAX_STREAMS,
        reuse_port: bool = False,
        refusals: Refusals | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._refusals = refusals or Refusals()
        self.max_message = max_message
        self.max_streams = max_streams
        self.routes: dict[bytes, Method] = {}
        self.calls: set[Call] = set()
        self.bounds = bounds or Bounds()
        self.crowd = Crowd(self.bounds.max_connections)
        self.connections = self.crowd.connections
        self._reuse_port = reuse_port
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._sockets: list[tuple[socket.socket, ContextOf | None]] = []
        self._listeners: list[asyncio.Server] = []
        self._shared: list[socket.socket] = []
        self._tls: ContextOf | None = None

    @property
    def listening(self) -> list[socket.socket]:
        """The sockets on which connections are taken."""
        return [bound for bound, _ in self._sockets]

    def calls_so_far(self) -> tuple[int, int, int]:
        """Return how many RPCs were opened, were answered, were broken off, over connections of now and before."""
        sessions = [connection.described()[0] for connection in self.connections]
        now = [(each.opened, each.answered, each.resets) for each in sessions]
        opened, answered, broken = map(sum, zip(self.crowd.past_calls, *now, strict=True))
        return opened, answered, broken

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serve these, too. The first that knows a method has it."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Nothing: generated code calls this after add_generic_rpc_handlers, with the same handlers."""

    def find(self, path: bytes) -> Method | None:
        """Return the method of a path, None for none."""
        try:
            details = _CallDetails(path.decode("ascii"))
        except UnicodeDecodeError:
            return None
        for handlers in self._handlers:
            handler = handlers.service(details)
            if handler is not None:
                method = Method(handler)
                if len(self.routes) < _ROUTES_KEPT:
                    self.routes[path] = method
                return method
        return None

    def add_insecure_port(self, address: str) -> int:
        """Listen on `HOST:PORT` and return the port, which for 0 is any free one. Raises RuntimeError if that fails.

        Connections are taken from `start` on; until then they wait.
        """
        return self._add_port(address, None)

    def add_secure_port(self, address: str, tls: ContextOf) -> int:
        """The same, with encrypted connections."""
        return self._add_port(address, tls)

    def add_socket(self, bound: socket.socket, tls: ContextOf | None = None) -> None:
        """Take connections of a socket that is bound and listens. It is closed by `stop`."""
        bound.setblocking(False)
        self._tls = tls
        self._sockets.append((bound, tls))

    def share_sockets(self, bound: Sequence[socket.socket], tls: ContextOf | None = None) -> int:
        """Listen on sockets that other processes have too, and return their port. `stop` has all of them stop."""
        for each in bound:
            each.listen(_BACKLOG)
            self._shared.append(each)
            self.add_socket(each.dup(), tls)
        return int(bound[0].getsockname()[1])

    async def listen_too(self, bound: socket.socket) -> asyncio.Server:
        """Take connections of another process's socket, until the listener is closed. That one goes on having it."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._acceptor(loop, self._tls), sock=bound.dup(), backlog=_BACKLOG)

    def _add_port(self, address: str, tls: ContextOf | None) -> int:
        host, _, port = address.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            return self._bind({(family, where) for family, _, _, _, where in found}, tls)
        except OSError as error:
            raise RuntimeError(f"cannot listen on {address}: {error}") from error

    async def start(self) -> None:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        for bound, tls in self._sockets:
            accept = self._acceptor(loop, tls)
            self._listeners.append(await loop.create_server(accept, sock=bound, backlog=_BACKLOG))

    async def stop(self, grace: float | None) -> None:
        """Take no more connections, give the RPCs that are open `grace` seconds, then cut them with UNAVAILABLE."""
        for listener in self._listeners:
            listener.close()
        for bound, _ in self._sockets:
            bound.close()
        for bound in self._shared:
            # Closing would not do: others have it open, and what comes would wait for nobody.
            stop_listening(bound)
        for connection in list(self.connections):
            connection.announce_shutdown()
        await _finished([call.task for call in self.calls], grace or 0.0)
        running = [call.task for call in self.calls]
        for call in list(self.calls):
            call.end(grpc.StatusCode.UNAVAILABLE.value[0], "the server stops")
        await _finished(running, HTTP2_GOODBYE)
        closing = [connection.closed for connection in self.connections]
        for connection in list(self.connections):
            connection.close()
        await _finished(closing, HTTP2_GOODBYE)
        for connection in list(self.connections):
            connection.abort()

    def _acceptor(self, loop: asyncio.AbstractEventLoop, tls: ContextOf | None) -> Callable[[], asyncio.Protocol]:
        crowd = self.crowd

        def connection() -> Connection:
            return Connection(self, loop)

        def accept() -> asyncio.Protocol:
            if not crowd.has_room(loop.time()):
                return Refused()
            return connection() if tls is None else Encrypted(connection, tls(), loop, self._refusals, crowd)

        return accept

    def _bind(self, addresses: set[tuple[socket.AddressFamily, Any]], tls: ContextOf | None) -> int:
        port = 0
        for family, where in sorted(addresses, key=lambda address: address[0]):
            if not where[1] and port:
                where = (where[0], port, *where[2:])  # noqa: PLW2901  # one port for all addresses of a name
            try:
                bound = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and len(addresses) > 1:
                    continue
                raise
            try:
                self._listen(bound, family, where)
            except OSError:
                bound.close()
                raise
            self.add_socket(bound, tls)
            port = bound.getsockname()[1]
        return port

    def _listen(self, bound: socket.socket, family: socket.AddressFamily, where: Any) -> None:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
        # At once: of two that are only bound, both would believe to have the address.
        bound.listen(_BACKLOG)


async def _finished(ends: Collection[asyncio.Future[None]], seconds: float) -> None:
    if ends:
        await asyncio.wait(ends, timeout=seconds)
