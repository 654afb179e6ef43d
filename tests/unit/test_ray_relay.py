"""TLS in front of a worker's door: both sides show a certificate of the right authority, or nothing passes."""

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.testing.waiting import DEADLINE
from gateway.workers.ray.dialling import TlsFiles
from gateway.workers.ray.relay import Relay
from tests.tls.authority import Authority, Pair

_HOST = "127.0.0.1"


def files(folder: Path, name: str, pair: Pair, authority: Authority) -> TlsFiles:
    return TlsFiles(*pair.in_files(folder, name), authority.in_file(folder, f"{name}-authority"))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def test_bytes_pass_for_those_who_have_a_certificate_and_for_nobody_else(tmp_path: Path) -> None:
    ours, stranger = Authority(), Authority()
    door = await asyncio.start_server(echo, _HOST, 0)
    relay = Relay(files(tmp_path, "actor", ours.server(), ours), (_HOST, door.sockets[0].getsockname()[1]))
    port = await relay.open(_HOST)
    async with asyncio.timeout(DEADLINE):
        known = files(tmp_path, "gateway", ours.client(), ours).context(server=False)
        reader, writer = await asyncio.open_connection(_HOST, port, ssl=known)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        other = files(tmp_path, "other", stranger.client(), ours).context(server=False)
        reader, refused = await asyncio.open_connection(_HOST, port, ssl=other)
        refused.write(b"hello")
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(5)
        refused.close()
        plain_reader, plain = await asyncio.open_connection(_HOST, port)
        plain.write(b"hello, without TLS\n")
        assert b"hello" not in await plain_reader.read()
        plain.close()
        await relay.close()
    door.close()
    await door.wait_closed()
