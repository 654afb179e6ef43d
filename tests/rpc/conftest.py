"""Servers with the same handlers on each of the transports."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest

from gateway.rpc import transports
from gateway.rpc.bounds import Bounds
from gateway.rpc.certificates import Certificates
from tests.rpc.echo import MAX_MESSAGE, Echo
from tests.rpc.peer import Peer
from tests.tls.authority import Authority

OPTIONS = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)]

needs_nghttp2 = pytest.mark.skipif(
    transports.MISSING is not None, reason=f"the extension was not built: {transports.MISSING}"
)


@dataclass
class Served:
    """A server that runs, its handlers, and a channel to it."""

    transport: str
    server: transports.Transport
    echo: Echo
    port: int
    channel: grpc.aio.Channel

    def unary(self, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
        return self.channel.unary_unary(f"/test.Echo/{method}")

    def answers(self, method: str) -> "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]":
        return self.channel.unary_stream(f"/test.Echo/{method}")

    def requests(self, method: str) -> "grpc.aio.StreamUnaryMultiCallable[bytes, bytes]":
        return self.channel.stream_unary(f"/test.Echo/{method}")

    def both(self, method: str) -> "grpc.aio.StreamStreamMultiCallable[bytes, bytes]":
        return self.channel.stream_stream(f"/test.Echo/{method}")


@asynccontextmanager
async def serving(
    transport: str,
    *,
    tls: tuple[Certificates, bytes] | None = None,
    bounds: Bounds | None = None,
    options: Sequence[tuple[str, int]] = (),
) -> AsyncIterator[Served]:
    """Run a server for as long as the context lasts. `tls`: with its certificates, and the authority of those."""
    echo, server = Echo(), transports.make(transport, [*OPTIONS, *options], bounds=bounds)
    server.add_generic_rpc_handlers((echo.handlers(),))
    port = transports.listen(transport, server, "127.0.0.1:0", None if tls is None else tls[0])
    await server.start()
    address, options = f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    if tls is None:
        opened = grpc.aio.insecure_channel(address, options=options)
    else:
        opened = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(tls[1]), options=options)
    try:
        async with opened as channel:
            yield Served(transport, server, echo, port, channel)
    finally:
        await server.stop(0)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificates, bytes]:
    """The certificates of a server, and the authority that signed them."""
    authority = Authority()
    return Certificates(*authority.server().in_files(tmp_path_factory.mktemp("tls"), "server")), authority.pem


@pytest.fixture(
    params=[
        pytest.param("nghttp2", marks=needs_nghttp2),
        pytest.param("nghttp2 with TLS", marks=needs_nghttp2),
        "grpcio",
        "grpcio with TLS",
    ]
)
async def served(request: pytest.FixtureRequest, tls: tuple[Certificates, bytes]) -> AsyncIterator[Served]:
    """A server on each of the transports, in plain text and encrypted."""
    transport, _, encrypted = request.param.partition(" with ")
    async with serving(transport, tls=tls if encrypted else None) as served:
        yield served


@pytest.fixture
async def native() -> AsyncIterator[Served]:
    """A server on the gateway's own transport."""
    async with serving("nghttp2") as served:
        yield served


@pytest.fixture
async def peer(native: Served) -> AsyncIterator[Peer]:
    """A connection to it on which a test writes and reads frames by itself."""
    peer = await Peer.connect(native.port)
    yield peer
    await peer.close()
