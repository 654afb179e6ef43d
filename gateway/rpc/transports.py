"""Which library speaks HTTP/2 for the gateway (docs/adr/0029-http2-by-nghttp2.md)."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast

import grpc

from gateway.rpc.bounds import Bounds, grpc_options
from gateway.rpc.certificates import Certificates, Pem
from gateway.rpc.refusals import Refusals

try:
    from gateway.rpc.http2.server import Http2Server
except ImportError as error:
    MISSING: str | None = str(error)
else:
    MISSING = None
"""Why the extension of `gateway/rpc/http2` cannot be used here, None when it can."""

NATIVE, _GRPCIO = "nghttp2", "grpcio"

_HANDSHAKE = "grpc.server_handshake_timeout_ms"
_MAX_MESSAGE = "grpc.max_receive_message_length"
_REUSE_PORT = "grpc.so_reuseport"


class TransportMissing(Exception):
    """The transport that was asked for is not installed; the text says what to do."""


class Transport(Protocol):
    """What the gateway uses of a server, be it grpc.aio's or its own."""

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None: ...
    def add_insecure_port(self, address: str) -> int: ...
    def add_secure_port(self, address: str, tls: Any, /) -> int: ...
    async def start(self) -> None: ...
    async def stop(self, grace: float | None) -> None: ...


def choose(wanted: Literal["auto", "nghttp2", "grpcio"], missing: str | None = MISSING) -> str:
    """Return the transport to use, `nghttp2` or `grpcio`. Raises TransportMissing.

    `missing` says why there is no nghttp2.
    """
    if wanted == NATIVE and missing is not None:
        raise TransportMissing(
            f"the transport nghttp2 is not installed ({missing}): it is built where there are a C compiler, Python's "
            "headers and nghttp2's; without them use --transport auto or grpcio"
        )
    return _GRPCIO if wanted == _GRPCIO or missing is not None else NATIVE


def make(
    name: str,
    options: list[tuple[str, int]],
    refusals: Refusals | None = None,
    bounds: Bounds | None = None,
) -> Transport:
    """Return a server with nothing in it. `options` are grpc.aio's; the other one takes what applies to it, and tells
    `refusals` of handshakes that fail.
    """
    if name == NATIVE:
        given = dict(options)
        share = bool(given.get(_REUSE_PORT))
        return Http2Server(given[_MAX_MESSAGE], reuse_port=share, refusals=refusals, bounds=bounds)
    return grpc.aio.server(options=[*options, *grpc_options(bounds or Bounds())])


def listen(
    name: str,
    server: Transport,
    address: str,
    certificates: Certificates | None,
    sockets: Sequence[socket.socket] = (),
) -> int:
    """Have a server of `make` listen, encrypted with what is current in `certificates` when a connection is made.

    `sockets` are bound to the address and shared with other processes; grpcio cannot use them and makes its own.
    Returns the port, 0 when that failed. Raises RuntimeError when it failed.
    """
    if name == NATIVE and sockets:
        tls = None if certificates is None else lambda: certificates.context
        return cast("Http2Server", server).share_sockets(sockets, tls)
    if certificates is None:
        return server.add_insecure_port(address)
    if name == NATIVE:
        return server.add_secure_port(address, lambda: certificates.context)
    return server.add_secure_port(address, _grpc_credentials(certificates))


async def listen_too(name: str, server: Transport, sockets: Sequence[socket.socket]) -> list[asyncio.Server]:
    """Have a server that has been started take connections of other processes' sockets. grpcio takes none."""
    if name != NATIVE:
        return []
    return [await cast("Http2Server", server).listen_too(bound) for bound in sockets]


def connections(name: str, server: Transport) -> tuple[int, Mapping[str, int]]:
    """Return how many connections a server has, and how many it has ended by which reason; of grpcio's 0 and none."""
    if name != NATIVE:
        return 0, {}
    crowd = cast("Http2Server", server).crowd
    return len(crowd.connections) + len(crowd.handshakes), crowd.ends


def handshake_options(seconds: float) -> list[tuple[str, int]]:
    """Return the option that bounds how long a handshake may take, of TLS and of HTTP/2."""
    return [(_HANDSHAKE, int(seconds * 1000))]


def _grpc_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    given = certificates.pem

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # Asked before each handshake, on a thread of gRPC's. None: as before.
        nonlocal given
        pem = certificates.pem
        if pem is given:
            return None
        given = pem
        return _grpc_configuration(pem)

    ask = given.client_ca is not None
    first = _grpc_configuration(given)
    # The stubs do not know of None.
    return grpc.dynamic_ssl_server_credentials(first, changed, require_client_authentication=ask)  # type: ignore[arg-type]


def _grpc_configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.client_ca)
