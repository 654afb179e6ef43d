"""The gateway's way through a worker's door: connect, prove the key on both sides, then frames."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gateway.handshake import Handshake, NotProven, derived
from gateway.timing import DIAL_PATIENCE
from gateway.worker.door import notice_the_lost
from gateway.workers.connection import WorkerConnection


@dataclass(frozen=True)
class TlsFiles:
    """What both ends show each other, and hold the other's against."""

    cert: Path
    key: Path
    ca: Path

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Return what one end of a connection is made with. Raises OSError, of which ssl.SSLError is one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        # Machines come and go, and no certificate names them: whose worker it is the handshake inside proves.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.cert, self.key)
        context.load_verify_locations(self.ca)
        return context

    @property
    def paths(self) -> Mapping[str, str]:
        """Where they are, in words."""
        return {"cert": str(self.cert), "key": str(self.key), "ca": str(self.ca)}


def key_of(secret: bytes, worker_id: str) -> bytes:
    """Return the key of one worker's door."""
    return derived(secret, f"worker {worker_id}")


def purpose_of(worker_id: str) -> bytes:
    """Return what connections to a worker are for, as a handshake has it."""
    return b"worker " + worker_id.encode()


async def dial(
    worker_id: str,
    address: tuple[str, int],
    key: bytes,
    connection: WorkerConnection,
    *,
    tls: ssl.SSLContext | None,
    patience: float | None = DIAL_PATIENCE,
) -> None:
    """Connect to a worker. Raises OSError, also when it does not prove to be that worker, and TimeoutError.

    Without `patience` it takes as long as it takes: a worker whose app blocks its loop lets nobody in meanwhile, and
    the connection breaks when that ends.
    """
    loop = asyncio.get_running_loop()
    proven: asyncio.Future[None] = loop.create_future()
    handshake = Handshake(key, purpose_of(worker_id), dialling=True)
    async with asyncio.timeout(patience):
        transport, _ = await loop.create_connection(lambda: _Dialling(handshake, connection, proven), *address, ssl=tls)
        try:
            await proven
        except BaseException:
            transport.abort()
            raise


class _Dialling(asyncio.Protocol):
    """A connection until both ends are proven; then the other protocol takes it over."""

    def __init__(self, handshake: Handshake, then: WorkerConnection, proven: asyncio.Future[None]) -> None:
        self._handshake = handshake
        self._then = then
        self._proven = proven
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            notice_the_lost(sock)
        self._transport.write(self._handshake.begin())

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            answer = self._handshake.receive(data)
        except NotProven as error:
            self._fail(ConnectionRefusedError(str(error)))
            self._transport.abort()
            return
        if answer:
            self._transport.write(answer)
        if self._handshake.proven and not self._proven.done():
            self._transport.set_protocol(self._then)
            self._then.connection_made(self._transport)
            self._proven.set_result(None)
            if self._handshake.rest:
                self._then.data_received(self._handshake.rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionResetError("the worker closed the connection before it had proven itself"))

    def _fail(self, error: OSError) -> None:
        if not self._proven.done():
            self._proven.set_exception(error)
