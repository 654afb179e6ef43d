"""Attacks on both transports: the limit acts, memory stays bounded, and another caller is served meanwhile."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.rpc.bounds import Bounds
from gateway.testing.waiting import until
from tests.rpc.conftest import Served, needs_nghttp2, serving
from tests.rpc.echo import MAX_MESSAGE
from tests.rpc.peer import (
    CANCEL,
    CONTINUATION,
    DATA,
    HEADERS,
    RST_STREAM,
    WINDOW_UPDATE,
    Fields,
    Peer,
    frame,
    prefixed,
    request,
)
from tests.rpc.test_abusive_peers import _resident as resident
from tests.rpc.test_connection_bounds import PATIENCE, TRANSPORTS

pytestmark = pytest.mark.timeout(90)

both = pytest.mark.parametrize("transport", TRANSPORTS)

MIB = 1024 * 1024
EXHAUSTED = "8"
INITIAL_WINDOW = 4
WIDE = 2**31 - 1
FRAME = 16_000

OPTIONS = [("grpc.server.max_pending_requests", 20_000), ("grpc.server.max_pending_requests_hard_limit", 20_000)]


ANSWER = 40_000
"""Bytes of each of a thousand answers: 40 MB for each stream that wants them."""


def send_whole(peer: Peer, stream: int, fields: Fields, body: bytes) -> None:
    """Make a call with more than one frame has room for."""
    peer.open(stream, fields)
    for at in range(0, len(body), FRAME):
        peer.send(frame(DATA, int(at + FRAME >= len(body)), stream, body[at : at + FRAME]))


@asynccontextmanager
async def attacked(transport: str, bounds: Bounds | None = None) -> AsyncIterator[tuple[Served, Peer]]:
    """Run a server with an attacker's connection. Whatever that did, others must be served, at once and afterwards."""
    async with serving(transport, bounds=bounds, options=OPTIONS) as served:
        assert await served.unary("say")(b"others") == b"others"
        peer = await Peer.connect(served.port, struct.pack(">HI", INITIAL_WINDOW, WIDE))
        try:
            async with asyncio.timeout(60):
                yield served, peer
                assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"
        finally:
            peer.writer.transport.abort()
        assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"


@both
async def test_rapid_resets(transport: str) -> None:
    async with attacked(transport) as (served, peer):
        before = resident()
        with suppress(ConnectionError):
            for stream in range(1, 60_001, 2):
                peer.open(stream, request("hold"), end=True)
                peer.send(frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))
                if stream % 2000 == 1:
                    await peer.writer.drain()
                    assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"
        assert resident() - before < 100 * MIB


@both
async def test_metadata_without_end(transport: str) -> None:
    async with attacked(transport) as (_, peer):
        before = resident()
        peer.send(frame(HEADERS, 0, 1, peer.encoder.encode(request())))
        block = peer.encoder.encode([("x-filler", "f" * 16_000)])
        with suppress(ConnectionError):
            for _ in range(2000):
                peer.send(frame(CONTINUATION, 0, 1, block))
                await peer.writer.drain()
        if transport == "nghttp2":  # grpcio goes on to read, and to throw away
            await peer.rest()
        assert resident() - before < 20 * MIB


@both
async def test_metadata_that_are_large_on_many_calls(transport: str) -> None:
    async with attacked(transport) as (_, peer):
        fields = [*request("say"), ("x-filler", "f" * 40_000)]
        peer.open(1, fields[:-1])
        block = peer.encoder.encode(fields)
        parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
        peer.send(frame(HEADERS, 0, 3, parts[0]))
        for part in parts[1:-1]:
            peer.send(frame(CONTINUATION, 0, 3, part))
        peer.send(frame(CONTINUATION, 4, 3, parts[-1]))
        outcome = await peer.outcome(3)
        assert outcome.status == EXHAUSTED or outcome.reset is not None


@both
async def test_messages_that_announce_more_than_may_be(transport: str) -> None:
    async with attacked(transport) as (served, peer):
        before = resident()
        for stream in range(1, 401, 2):
            peer.open(stream, request("say"))
            peer.send(frame(DATA, 0, stream, b"\0\xff\xff\xff\xff" + bytes(1000)))
        outcome = await peer.outcome(399)
        assert outcome.status == EXHAUSTED
        # Just what may be, of which the rest never comes.
        for stream in range(401, 1401, 2):
            peer.open(stream, request("say"))
            peer.send(frame(DATA, 0, stream, b"\0" + MAX_MESSAGE.to_bytes(4, "big") + bytes(1000)))
        assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"
        assert resident() - before < 200 * MIB


@both
async def test_a_reader_that_does_not_read(transport: str) -> None:
    async with attacked(transport, Bounds(keepalive_time=0.5, keepalive_timeout=0.5)) as (served, peer):
        peer.send(frame(WINDOW_UPDATE, 0, 0, (WIDE - 65_535).to_bytes(4, "big")))
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        before = resident()
        for stream in range(1, 41, 2):
            send_whole(peer, stream, request("write"), prefixed(bytes(ANSWER)))
        # Its streams are fed no more, and in the end it is cut off.
        for _ in range(20):
            assert await asyncio.wait_for(served.echo.left.get(), PATIENCE) == "write"
        assert 0 < served.echo.written < 2000
        assert resident() - before < 100 * MIB


@both
async def test_a_reader_that_opens_no_window(transport: str) -> None:
    async with attacked(transport) as (served, peer):
        before = resident()
        for stream in range(1, 201, 2):
            send_whole(peer, stream, request("write"), prefixed(bytes(ANSWER)))
        assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"
        await until(lambda: served.echo.written > 0)
        assert served.echo.written < 1000
        assert resident() - before < 100 * MIB


@both
async def test_streams_that_never_end(transport: str) -> None:
    async with attacked(transport) as (served, peer):
        before = resident()
        for stream in range(1, 4001, 2):
            peer.open(stream, request("both"))
        peer.send(frame(DATA, 0, 3999, prefixed(b"x")))
        await peer.until(DATA)
        assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"
        assert resident() - before < 150 * MIB
        peer.writer.transport.abort()
        # All of them are over with their connection.
        for _ in range(2000):
            assert await asyncio.wait_for(served.echo.left.get(), PATIENCE) == "both"


@both
async def test_thousands_of_idle_connections(transport: str) -> None:
    async with attacked(transport, Bounds(max_connections=500)) as (served, _):
        before = resident()
        idle = []
        for _ in range(2000):
            with suppress(ConnectionError):
                idle.append(await Peer.connect(served.port))
        assert await served.unary("say")(b"others", timeout=PATIENCE, wait_for_ready=True) == b"others"
        assert resident() - before < 200 * MIB
        for peer in idle:
            peer.writer.transport.abort()


@needs_nghttp2
async def test_requests_in_memory_are_bounded_for_each_connection() -> None:
    from gateway.rpc.http2._nghttp2 import totals  # noqa: PLC0415  # not everywhere

    async with attacked("nghttp2") as (served, peer):
        body = prefixed(bytes(MAX_MESSAGE))
        for stream in range(1, 1101, 2):
            send_whole(peer, stream, request("hold"), body)
            await peer.writer.drain()
        # The last ones are refused; those before are waited for.
        assert (await peer.outcome(1099)).status == EXHAUSTED
        assert 500 * MIB < totals()[0] <= 512 * MIB + MIB
        peer.writer.transport.abort()
        await until(lambda: totals()[0] < MIB)
        assert not served.server.calls  # type: ignore[attr-defined]


@needs_nghttp2
async def test_open_calls_are_bounded_for_all_connections_together() -> None:
    from gateway.rpc.http2._nghttp2 import totals  # noqa: PLC0415  # not everywhere

    async with attacked("nghttp2") as (served, first):
        peers = [first, await Peer.connect(served.port), await Peer.connect(served.port)]
        for number, peer in enumerate(peers):
            await until(lambda: totals()[2] == number * 18_000)  # noqa: B023  # awaited at once
            for stream in range(1, 36_001, 2):
                peer.open(stream, request("say"))
                if stream % 1000 == 1:
                    await peer.writer.drain()
        assert (await peers[-1].outcome(35_999)).status == EXHAUSTED
        assert totals()[2] <= 50_010
        # Who has few calls is let in as ever.
        assert await served.unary("say")(b"others", timeout=PATIENCE) == b"others"
        for peer in peers:
            peer.writer.transport.abort()
        await until(lambda: totals()[2] == 0)
