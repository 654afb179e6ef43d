"""Bytes on a connection, as anybody may send them who can reach the port."""

import asyncio
from collections.abc import Sequence

import grpc
import h2.connection
import h2.exceptions
from hypothesis import strategies as st

from gateway.rpc.http2.connection import Connection
from gateway.rpc.http2.server import Http2Server
from tools.fuzz.engine import Target
from tools.fuzz.frames import Wire, cut
from tools.fuzz.inputs import mutated

_PATH = "/fuzz.Service/Echo"


class Peer(Wire):
    """The transport of a connection."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Nothing is known."""
        return default

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing."""

    def pause_reading(self) -> None:
        """Nothing."""

    def resume_reading(self) -> None:
        """Nothing."""


def targets(runner: asyncio.Runner) -> list[Target]:
    """Return one for HTTP/2 with gRPC in it."""
    server = Http2Server(4096)
    server.add_generic_rpc_handlers((_handler(),))

    def feed(chunks: Sequence[bytes]) -> None:
        runner.run(_connection(server, chunks))

    return [Target("http2", st.builds(cut, mutated(_sessions()), st.lists(st.integers(0, 400), max_size=4)), feed)]


def _handler() -> grpc.GenericRpcHandler:
    async def echo(request: bytes, _: object) -> bytes:
        return request

    return grpc.method_handlers_generic_handler("fuzz.Service", {"Echo": grpc.unary_unary_rpc_method_handler(echo)})


async def _connection(server: Http2Server, chunks: Sequence[bytes]) -> None:
    connection, peer = Connection(server, asyncio.get_running_loop()), Peer()
    connection.connection_made(peer)
    for chunk in chunks:
        if peer.closed:
            break
        connection.data_received(chunk)
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for call in list(server.calls):
        if call.task is not None:
            await asyncio.wait([call.task], timeout=1)
    assert not server.connections
    assert not server.calls


@st.composite
def _sessions(draw: st.DrawFn) -> bytes:
    """Draw what a client sends that makes some calls."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    for _ in range(draw(st.integers(0, 3))):
        stream = client.get_next_available_stream_id()
        timeout = draw(st.sampled_from(["", "1S", "0n", "99999999H", "-1S", "1x", "100000000000S"]))
        headers = [
            (":method", draw(st.sampled_from(["POST", "POST", "GET"]))),
            (":scheme", "http"),
            (":path", draw(st.sampled_from([_PATH, _PATH, "/", "", "*", "/no/such"]))),
            (":authority", "a"),
            ("te", "trailers"),
            ("content-type", draw(st.sampled_from(["application/grpc", "application/grpc", "text/html"]))),
            *([("grpc-timeout", timeout)] if timeout else []),
            *draw(st.lists(st.sampled_from([("grpc-encoding", "gzip"), ("x-bin", "!"), ("x", "y" * 200)]), max_size=2)),
        ]
        body = draw(st.binary(max_size=20))
        size = draw(st.sampled_from([len(body), len(body), 0, 5000, 2**32 - 1]))
        message = bytes([draw(st.sampled_from([0, 0, 1, 9]))]) + size.to_bytes(4, "big") + body
        try:
            client.send_headers(stream, headers)
            client.send_data(stream, message, end_stream=draw(st.booleans()))
            if draw(st.integers(0, 3)) == 0:
                client.reset_stream(stream)
            if draw(st.integers(0, 3)) == 0:
                client.ping(b"12345678")
        except h2.exceptions.ProtocolError:
            break
    return client.data_to_send()
