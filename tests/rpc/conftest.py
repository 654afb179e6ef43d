"""Servers with the same handlers on each of the transports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest

from gateway.rpc import transports
from tests.rpc.echo import MAX_MESSAGE, Echo
from tests.rpc.peer import Peer

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
async def serving(transport: str) -> AsyncIterator[Served]:
    """Run a server for as long as the context lasts."""
    echo, server = Echo(), transports.make(transport, OPTIONS)
    server.add_generic_rpc_handlers((echo.handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            yield Served(transport, server, echo, port, channel)
    finally:
        await server.stop(0)


@pytest.fixture(params=[pytest.param("nghttp2", marks=needs_nghttp2), "grpcio"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A server on each of the transports."""
    async with serving(request.param) as served:
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
