"""A peer that speaks HTTP/2 frame by frame, and so can break its rules."""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 3, 7, 8, 11

Fields = Sequence[tuple[str, str]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def prefixed(message: bytes, compressed: bool = False) -> bytes:
    return struct.pack(">BI", compressed, len(message)) + message


def request(method: str = "say", **changed: str) -> list[tuple[str, str]]:
    """Return the header fields of an RPC; `changed` with `_` for `-`, an empty value takes the field away."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/test.Echo/{method}",
        ":authority": "test",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    for name, value in changed.items():
        plain = name.replace("_", "-")
        fields[f":{plain}" if f":{plain}" in fields else plain] = value
    return [(name, value) for name, value in fields.items() if value]


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of one stream."""

    headers: Mapping[str, str]
    data: bytes
    trailers: Mapping[str, str]
    reset: int | None

    @property
    def status(self) -> str | None:
        """The `grpc-status`, wherever it stands."""
        return self.trailers.get("grpc-status", self.headers.get("grpc-status"))


class Peer:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self._decoder = Encoder(), Decoder()
        self.answers_pings = False

    @classmethod
    async def connect(cls, port: int, settings: bytes = b"", acknowledges: bool = True) -> Self:
        """Connect and send settings; the server's count from when they are acknowledged."""
        peer = cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))
        peer.send(PREFACE + frame(SETTINGS, 0, 0, settings))
        if acknowledges:
            peer.send(frame(SETTINGS, ACK, 0))
        return peer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def open(self, stream: int, fields: Fields, end: bool = False) -> None:
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.encoder.encode(fields)))

    def call(self, stream: int, fields: Fields, body: bytes) -> None:
        self.open(stream, fields)
        self.send(frame(DATA, END_STREAM, stream, body))

    async def frame(self) -> Frame:
        """Return the next frame. Raises EOFError (IncompleteReadError) at the end of the connection."""
        head = await self.reader.readexactly(9)
        payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        if self.answers_pings and head[3] == PING and not head[4] & ACK:
            self.send(frame(PING, ACK, 0, payload))
        return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    async def outcome(self, stream: int) -> Outcome:
        """Read until a stream is over."""
        blocks: list[dict[str, str]] = []
        data = b""
        while True:
            got = await self.frame()
            if got.kind == HEADERS:
                block = {str(name): str(value) for name, value in self._decoder.decode(got.payload)}
                if got.stream == stream:
                    blocks.append(block)
            if got.stream != stream:
                continue
            if got.kind == DATA:
                data += got.payload
            reset = int.from_bytes(got.payload, "big") if got.kind == RST_STREAM else None
            if reset is not None or (got.kind in {DATA, HEADERS} and got.flags & END_STREAM):
                return Outcome(blocks[0] if blocks else {}, data, blocks[1] if len(blocks) > 1 else {}, reset)

    async def answer(self, stream: int, fields: Fields, body: bytes) -> Outcome:
        """Make a call and return what becomes of it."""
        self.call(stream, fields, body)
        return await self.outcome(stream)

    async def until(self, kind: int, flags: int = 0) -> Frame:
        """Read until a frame of this kind comes."""
        while True:
            got = await self.frame()
            if got.kind == kind and got.flags & flags == flags:
                return got

    async def rest(self) -> list[Frame]:
        """Read until the connection is closed."""
        frames = []
        try:
            while True:
                frames.append(await self.frame())
        except (EOFError, ConnectionError):
            return frames

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
