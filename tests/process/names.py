"""A name server of one name, for clients that are to find several addresses behind it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

NAME = "gateways.test"

_HEAD = struct.Struct(">HHHHHH")
_A, _IN = 1, 1
_ANSWER_TO_ALL, _NO_SUCH_NAME = 0x8580, 0x8583


class NameServer(asyncio.DatagramProtocol):
    """Answers with the `addresses` that it has at that moment, to be kept for no time."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        question = data[_HEAD.size : data.index(0, _HEAD.size) + 5]
        kind = int.from_bytes(question[-4:-2], "big")
        wanted = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
        known = question.lower().startswith(wanted)
        found = self.addresses if known and kind == _A else []
        self.asked += kind == _A
        head = _HEAD.pack(
            int.from_bytes(data[:2], "big"), _ANSWER_TO_ALL if known else _NO_SUCH_NAME, 1, len(found), 0, 0
        )
        # 0xC00C: the name of the question.
        records = [struct.pack(">HHHIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(address) for address in found]
        self._transport.sendto(head + question + b"".join(records), addr)


@asynccontextmanager
async def naming(addresses: list[str], port: int) -> AsyncIterator[tuple[NameServer, str]]:
    """Run a name server; yields it, and what a client of gRPC asks it with for `port` at the addresses."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(addresses), local_addr=("127.0.0.1", 0))
    try:
        yield server, f"dns://127.0.0.1:{transport.get_extra_info('sockname')[1]}/{NAME}:{port}"
    finally:
        transport.close()
