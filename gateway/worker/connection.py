"""One connection of a gateway to this worker."""

import asyncio
import sys
from typing import Protocol

from gateway.workers.frames import FrameError, FrameReader, encode
from sessiongateway.worker.v1 import worker_pb2 as pb


class Server(Protocol):
    """Who hears of a connection."""

    def connected(self, connection: "Connection") -> None:
        """A gateway is there."""

    def received(self, connection: "Connection", frame: pb.ToWorker) -> None:
        """It says something."""

    def disconnected(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """Cuts frames from the stream, and writes frames to it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether anyone reads what is sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connected(self)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._server.received(self, pb.ToWorker.FromString(body))
        except FrameError as error:
            print(f"the gateway sent {error}", file=sys.stderr)
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._server.disconnected(self)

    def send(self, frame: pb.FromWorker) -> None:
        """Write one frame, or drop it when the gateway is gone."""
        if self._transport is not None and self.open:
            self._transport.write(encode(frame))

    async def close(self) -> None:
        """Flush and close."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()
