"""Which library speaks HTTP/2 for the gateway (docs/adr/0029-http2-by-nghttp2.md)."""

from typing import Literal, Protocol

import grpc

try:
    from gateway.rpc.http2.server import Http2Server
except ImportError as error:
    MISSING: str | None = str(error)
else:
    MISSING = None
"""Why the extension of `gateway/rpc/http2` cannot be used here, None when it can."""

_NATIVE, _GRPCIO = "nghttp2", "grpcio"

_MAX_MESSAGE = "grpc.max_receive_message_length"
_REUSE_PORT = "grpc.so_reuseport"


class TransportMissing(Exception):
    """The transport that was asked for is not installed; the text says what to do."""


class Transport(Protocol):
    """What the gateway uses of a server, be it grpc.aio's or its own."""

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None: ...
    def add_insecure_port(self, address: str) -> int: ...
    async def start(self) -> None: ...
    async def stop(self, grace: float | None) -> None: ...


def choose(wanted: Literal["auto", "nghttp2", "grpcio"], missing: str | None = MISSING) -> str:
    """Return the transport to use, `nghttp2` or `grpcio`. Raises TransportMissing.

    `missing` says why there is no nghttp2.
    """
    if wanted == _NATIVE and missing is not None:
        raise TransportMissing(
            f"the transport nghttp2 is not installed ({missing}): it is built where there are a C compiler, Python's "
            "headers and nghttp2's; without them use --transport auto or grpcio"
        )
    return _GRPCIO if wanted == _GRPCIO or missing is not None else _NATIVE


def make(name: str, options: list[tuple[str, int]]) -> Transport:
    """Return a server with nothing in it. `options` are grpc.aio's; the other one takes what applies to it."""
    if name == _NATIVE:
        given = dict(options)
        return Http2Server(given[_MAX_MESSAGE], reuse_port=bool(given.get(_REUSE_PORT)))
    return grpc.aio.server(options=options)
