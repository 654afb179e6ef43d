"""Peers that are broken or hostile: what they cost is bounded, and others do not notice."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.testing.descriptors import descriptors, none_left
from gateway.testing.waiting import until
from tests.rpc.conftest import Served, needs_nghttp2
from tests.rpc.peer import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    frame,
    prefixed,
    request,
)

pytestmark = [pytest.mark.timeout(60), needs_nghttp2]


@pytest.fixture
async def peer(peer: Peer, native: Served) -> AsyncIterator[Peer]:
    yield peer
    await peer.close()
    # Whatever was done, the server still serves, and holds nothing of the one who did it.
    assert await native.unary("say")(b"others") == b"others"
    server = native.server
    await until(lambda: len(server.connections) == 1)  # type: ignore[attr-defined]
    assert not server.calls  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        bytes(1000),
        PREFACE[:-1] + b"x",
        PREFACE + bytes(9),
        PREFACE + frame(DATA, 0, 1, b"x"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, b"\xff" * 50),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 2, b""),
        PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, bytes(4)),
        PREFACE + frame(SETTINGS, 0, 0) + frame(DATA, 0, 7, b"x"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, 0, 0, b"odd"),
    ],
)
async def test_what_is_no_http2_closes_its_connection(native: Served, garbage: bytes) -> None:
    peer = Peer(*await asyncio.open_connection("127.0.0.1", native.port))
    peer.send(garbage)
    async with asyncio.timeout(10):
        await peer.rest()
    await peer.close()
    assert await native.unary("say")(b"others") == b"others"


async def test_streams_that_are_opened_and_reset_without_end_are_cut_off(peer: Peer) -> None:
    with suppress(ConnectionError):
        for stream in range(1, 60_001, 2):
            peer.open(stream, request("hold"), end=True)
            peer.send(frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))
            if stream % 200 == 1:
                await peer.writer.drain()
    await peer.rest()


async def test_ten_thousand_cancelled_calls_are_no_abuse(native: Served, peer: Peer) -> None:
    for stream in range(1, 20_001, 2):
        peer.call(stream, request("hold"), prefixed(b""))
        peer.send(frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))
    assert (await peer.answer(20_001, request(), prefixed(b"after"))).data == prefixed(b"after")


@pytest.mark.parametrize("flood", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, 0, 0)])
async def test_a_flood_whose_answers_are_not_read_stops_being_read(native: Served, peer: Peer, flood: bytes) -> None:
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    taken = True
    for _ in range(400):
        peer.send(flood * 5000)
        try:
            await asyncio.wait_for(peer.writer.drain(), 1)
        except (TimeoutError, ConnectionError):
            taken = False
            break
    assert not taken
    peer.writer.transport.abort()


async def test_a_stream_that_is_wrong_before_its_handler_begins_leaves_nothing(peer: Peer) -> None:
    for stream in range(1, 201, 2):
        peer.open(stream, request("both", grpc_timeout="1H"))
        peer.send(frame(DATA, 0, stream, b"\2\0\0\0\0"))
    assert (await peer.outcome(199)).status == "13"


async def test_a_header_block_without_end_is_cut_off(peer: Peer) -> None:
    peer.send(frame(HEADERS, 0, 1, peer.encoder.encode(request())))
    block = peer.encoder.encode([("x-filler", "f" * 1000)])
    for _ in range(200):
        peer.send(frame(CONTINUATION, 0, 1, block))
    assert await peer.rest() is not None


async def test_half_a_header_block_holds_nothing_up_but_its_own_connection(native: Served, peer: Peer) -> None:
    peer.send(frame(HEADERS, 0, 1, peer.encoder.encode(request())))
    assert await native.unary("say")(b"others") == b"others"


async def test_announced_sizes_are_not_allocated(native: Served, peer: Peer) -> None:
    before = _resident()
    for stream in range(1, 4001, 2):
        peer.open(stream, request())
        peer.send(frame(DATA, 0, stream, b"\0" + (1024 * 1024).to_bytes(4, "big") + b"x"))
    peer.send(frame(PING, 0, 0, bytes(8)))
    await peer.until(PING, flags=1)
    # 2,000 streams with 1 MiB announced each: what they hold is a small part of it.
    assert _resident() - before < 300 * 1024 * 1024


async def test_streams_beyond_a_limit_that_the_peer_does_not_know_yet_are_refused_one_by_one(native: Served) -> None:
    native.server.max_streams = 10  # type: ignore[attr-defined]
    peer = await Peer.connect(native.port, acknowledges=False)
    for stream in range(1, 23, 2):
        peer.call(stream, request("hold"), prefixed(b"%d" % stream))
    refused = await peer.until(RST_STREAM)
    assert (refused.stream, int.from_bytes(refused.payload, "big")) == (21, 7)
    native.echo.go_on.set()
    assert (await peer.outcome(1)).data == prefixed(b"1")
    await peer.close()


async def test_a_window_that_overflows_is_an_error(peer: Peer) -> None:
    peer.send(frame(WINDOW_UPDATE, 0, 0, (2**31 - 1).to_bytes(4, "big")))
    assert any(got.kind == GOAWAY for got in await peer.rest())


async def test_who_sends_more_than_its_window_is_cut_off(native: Served, peer: Peer) -> None:
    peer.open(1, request("unread"))
    for _ in range(80):
        peer.send(frame(DATA, 0, 1, prefixed(bytes(16_000))))
    got = await peer.until(RST_STREAM)
    assert int.from_bytes(got.payload, "big") == 3
    native.echo.go_on.set()


async def test_connections_that_come_and_go_leave_nothing(native: Served) -> None:
    async def one() -> None:
        peer = await Peer.connect(native.port)
        assert (await peer.answer(1, request(), prefixed(b"x"))).status == "0"
        peer.call(3, request("hold"), prefixed(b"x"))
        await peer.close()

    for _ in range(20):
        await one()
    before, files = _resident(), descriptors()
    for _ in range(1000):
        await one()
    server = native.server
    await until(lambda: not server.connections and not server.calls)  # type: ignore[attr-defined]
    assert _resident() - before < 8 * 1024 * 1024
    await none_left(files)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
