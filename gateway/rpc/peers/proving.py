"""The beginning of a connection between two gateways: each says who it is, and proves that it belongs to the others.

Who has dialled sends one line with its own name, so that both ends know for whom the handshake is; after that it is as
in `gateway.handshake`. What comes then is the connection's own.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

from gateway.handshake import Handshake, NotProven, derived
from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.link import Link
from gateway.rpc.peers.wire import DIALECT

_LINE = re.compile(rb"gateway ([0-9a-f]{1,64})\n")
_MAX_LINE = 80


class _Proving(asyncio.Protocol):
    """One end, until the other one is proven."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def write(self, data: bytes) -> None:
        """Send, unless the connection is lost."""
        if data and self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def pass_on(self, to: Link | Visitor, rest: bytes) -> None:
        """Have the connection go on with somebody else."""
        assert self._transport is not None
        self._transport.set_protocol(to)
        to.connection_made(self._transport)
        if rest:
            to.data_received(rest)


class Dialling(_Proving):
    """The end of the gateway that dials."""

    def __init__(self, secret: bytes, own: str, other: str, link: Callable[[], Link]) -> None:
        super().__init__()
        self.linked: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        """The connection, once it is proven. Raises ConnectionError."""
        self._own = own
        self._link = link
        self._handshake = Handshake(_key(secret), _purpose(own, other), dialling=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(b"gateway %s\n" % self._own.encode() + self._handshake.begin())

    def data_received(self, data: bytes) -> None:
        try:
            self.write(self._handshake.receive(data))
        except NotProven as error:
            self._fail(str(error))
            self.abort()
            return
        if self._handshake.proven and not self.linked.done():
            link = self._link()
            self.pass_on(link, self._handshake.rest)
            self.linked.set_result(link)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail("the other gateway has closed the connection")

    def _fail(self, why: str) -> None:
        if not self.linked.done():
            self.linked.set_exception(ConnectionError(why))
            self.linked.exception()  # nobody may be waiting any more


class Dialled(_Proving):
    """The end of the gateway that was dialled."""

    def __init__(
        self, secret: Callable[[], bytes], own: Callable[[], str], visitor: Callable[[str], Visitor], patience: float
    ) -> None:
        """`visitor` is given the name of the one that has dialled. It has `patience` seconds to prove itself."""
        super().__init__()
        self._secret, self._own, self._visitor = secret, own, visitor
        self._patience = patience
        self._line = b""
        self._name = ""
        self._handshake: Handshake | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(self._patience, self.abort)

    def data_received(self, data: bytes) -> None:
        if self._handshake is None:
            self._line += data
            line, newline, data = self._line.partition(b"\n")
            if not newline:
                if len(line) > _MAX_LINE:
                    self.abort()
                return
            match = _LINE.fullmatch(line + newline)
            if match is None or not self._secret():
                self.abort()
                return
            self._name = match[1].decode()
            self._handshake = Handshake(_key(self._secret()), _purpose(self._name, self._own()), dialling=False)
        try:
            self.write(self._handshake.receive(data))
        except NotProven:
            self.abort()
            return
        if self._handshake.proven:
            self._settle()
            self.pass_on(self._visitor(self._name), self._handshake.rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._settle()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _key(secret: bytes) -> bytes:
    return derived(secret, "gateways")


def _purpose(dialling: str, dialled: str) -> bytes:
    return f"requests {DIALECT} of {dialling} for {dialled}".encode()
