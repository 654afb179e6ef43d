"""Encrypted connections of the gateway's own transport, with peers that are written by hand."""

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.rpc.certificates import Certificates
from gateway.rpc.http2.server import Http2Server
from gateway.testing.waiting import until
from tests.rpc.conftest import Served, needs_nghttp2, serving
from tests.rpc.peer import DATA, END_STREAM, PING, PREFACE, SETTINGS, WINDOW_UPDATE, Peer, frame, prefixed, request
from tests.tls.authority import Authority

pytestmark = needs_nghttp2

INITIAL_WINDOW_SIZE = 4


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def encrypted(authority: Authority, tmp_path: Path) -> AsyncIterator[Served]:
    """A server with TLS. At the end it serves as before, and holds nothing of the peers that were there."""
    certificates = Certificates(*authority.server().in_files(tmp_path, "server"))
    async with serving("nghttp2", tls=(certificates, authority.pem)) as served:
        assert await served.unary("say")(b"before") == b"before"
        yield served
        assert await served.unary("say")(b"after") == b"after"
        await until(lambda: len(server_of(served).connections) == 1)
        assert not server_of(served).calls


def server_of(served: Served) -> Http2Server:
    assert isinstance(served.server, Http2Server)
    return served.server


def context_for(authority: Authority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    return context


async def connect(served: Served, authority: Authority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Peer:
    """Connect, and say what begins HTTP/2."""
    context = context_for(authority, version)
    opened: Any = await asyncio.open_connection(
        "127.0.0.1", served.port, ssl=context, server_hostname="localhost", limit=2**24
    )
    peer = Peer(*opened)
    peer.send(PREFACE + frame(SETTINGS, 0, 0))
    return peer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [0, 1, 16_000])
async def test_a_message_of_any_size_comes_back(
    encrypted: Served, authority: Authority, version: ssl.TLSVersion, size: int
) -> None:
    peer = await connect(encrypted, authority, version)
    body = prefixed(bytes(size))
    assert (await peer.answer(1, request(), body)).data == body
    await peer.close()


@pytest.mark.parametrize("pings", [100, 5000])
async def test_a_flood_whose_answers_are_not_read_is_stopped(
    encrypted: Served, authority: Authority, pings: int
) -> None:
    def flood() -> None:
        with (
            socket.create_connection(("127.0.0.1", encrypted.port), timeout=2) as connected,
            context_for(authority).wrap_socket(connected, server_hostname="localhost") as secure,
        ):
            secure.sendall(PREFACE + frame(SETTINGS, 0, 0))
            for _ in range(20_000):
                secure.sendall(frame(PING, 0, 0, bytes(8)) * pings)

    with pytest.raises((TimeoutError, ConnectionError, ssl.SSLError)):
        await asyncio.to_thread(flood)


async def test_who_does_not_read_its_answers_is_not_read_from_until_it_does(
    encrypted: Served, authority: Authority
) -> None:
    peer = await connect(encrypted, authority)
    largest = 2**31 - 1
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HL", INITIAL_WINDOW_SIZE, largest)))
    peer.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", largest - 65535)))
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    streams, body = range(1, 3001, 2), prefixed(bytes(16_000))
    for stream in streams:
        peer.call(stream, request(), body)
    held = server_of(encrypted).connections
    await until(lambda: any(connection.paused for connection in held))
    peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
    ended = received = 0
    while ended < len(streams):
        got = await peer.frame()
        if got.stream:
            received += len(got.payload) if got.kind == DATA else 0
            ended += got.flags & END_STREAM
    assert received == len(streams) * len(body)
    await peer.close()


async def test_the_notice_that_all_was_sent_ends_the_connection(encrypted: Served, authority: Authority) -> None:
    peer = await connect(encrypted, authority)
    peer.writer.close()
    async with asyncio.timeout(10):
        with contextlib.suppress(ssl.SSLError):  # what it had not read yet
            await peer.writer.wait_closed()
        await until(lambda: len(server_of(encrypted).connections) == 1)


async def test_a_connection_that_is_cut_in_the_middle_is_forgotten(encrypted: Served, authority: Authority) -> None:
    for _ in range(20):
        peer = await connect(encrypted, authority)
        peer.writer.transport.abort()
    await until(lambda: len(server_of(encrypted).connections) == 1)


async def test_noise_in_place_of_a_record_ends_the_connection(encrypted: Served, authority: Authority) -> None:
    peer = await connect(encrypted, authority)
    raw = socket.socket(fileno=socket.dup(peer.writer.get_extra_info("socket").fileno()))
    with raw:
        raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            async with asyncio.timeout(10):
                await peer.rest()
    peer.writer.transport.abort()


async def test_handshakes_that_fail_leave_no_connection_behind(encrypted: Served) -> None:
    gc.collect()
    before = sum(type(thing).__name__ in {"Connection", "Encrypted"} for thing in gc.get_objects())
    gc.disable()  # what is in no cycle goes without it
    try:
        for number in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", encrypted.port)
            writer.write(bytes(number + 100))
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()
        await until(
            lambda: sum(type(thing).__name__ in {"Connection", "Encrypted"} for thing in gc.get_objects()) <= before
        )
    finally:
        gc.enable()
