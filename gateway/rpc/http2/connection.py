"""One connection: between an asyncio transport and an nghttp2 session."""

import asyncio
import itertools
import logging
import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from gateway.auth.certificates import Shown
from gateway.rpc.bounds import CHATTER
from gateway.rpc.http2._nghttp2 import Http2Error, Session
from gateway.rpc.http2.addresses import peer_of
from gateway.rpc.http2.call import Call
from gateway.rpc.http2.upkeep import Upkeep
from gateway.rpc.peer_certificates import of_ssl
from gateway.timing import HTTP2_GREETING

if TYPE_CHECKING:
    from gateway.rpc.http2.server import Http2Server

logger = logging.getLogger("gateway.rpc.http2")

_OUTPUT = 256 * 1024
"""Bytes that are handed to the transport at a time."""

_TRANSPORT_BUFFER = 1024 * 1024
"""Bytes that wait in the transport before nothing more is handed to it, and nothing more is read from the peer."""

_RESETS = 20_000
_RESETS_PER_SECOND = 1_000
"""How many RPCs a peer may break off in a burst, and how quickly it gets them back. Each costs as much as a call."""

_ENHANCE_YOUR_CALM = 0xB

_UNAVAILABLE = 14

_NUMBERS = itertools.count(1001)
"""Of all connections of the process, above those of other things that have numbers."""

_KEEPALIVE = {"TCP_KEEPIDLE": 120, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
"""Seconds, seconds and tries: where there are no pings, so long does the connection of a peer stay that vanished."""


class Connection(asyncio.Protocol):
    """One connection of a server. `calls` are the RPCs of all its connections whose handlers run."""

    def __init__(self, server: "Http2Server", loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls = server.calls
        self.max_message = server.max_message
        self.closed: asyncio.Future[None] = loop.create_future()
        self._server = server
        self.number = next(_NUMBERS)
        self._session = Session(Call, server.routes, server.find, self, server.max_message, server.max_streams)
        self._transport: asyncio.Transport | None = None
        self._flushing = False
        self.heard = False
        self.paused = False
        self._goodbye_after: int | None = None
        """With how many answers to pings the peer knows that it is to open no more streams."""
        self._held: list[Call] = []
        self._resets_until = loop.time()
        self._resets_seen = 0
        self._calmed = False
        self._greeting: asyncio.TimerHandle | None = None
        self._upkeep: Upkeep | None = None
        server.connections.add(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_TRANSPORT_BUFFER)
        _keep_alive(transport.get_extra_info("socket"))
        self._upkeep = Upkeep(self, self._session, self._server.bounds, self.loop, self._server.crowd.ends)
        self._greeting = self.loop.call_later(HTTP2_GREETING, self._not_greeted)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        self._stop_greeting()
        if self._upkeep is not None:
            self._upkeep.stop()
        self._held.clear()
        if not self.closed.done():
            self.closed.set_result(None)
        for call in self._session.close():
            call.advance()
        self._server.crowd.take_leave(self._session)

    def data_received(self, data: bytes) -> None:
        session = self._session
        self.heard = True
        try:
            changed = session.receive(data)
        except (Http2Error, MemoryError) as error:
            self.broken(error)
            return
        for call in changed:
            if call.task is None and session.overfull:
                self._held.append(call)
            else:
                call.advance()
        if session.resets != self._resets_seen:
            self._count_resets()
        if session.chatter > CHATTER:
            self._calm("chatter", b"too_many_pings", "it sends pings, or other frames that say nothing")
        if self._goodbye_after is not None and session.pongs >= self._goodbye_after:
            self.say_goodbye()
        if self._greeting is not None and session.greeted:
            self._stop_greeting()
        if not self._flushing and (session.wants_write or session.over):
            self.flush_soon()

    def eof_received(self) -> bool:
        return False  # closes the transport: nothing of HTTP/2 can follow

    def pause_writing(self) -> None:
        # Who does not read what it is sent is not read from either: else its pings and resets would pile up.
        self.paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self.flush_soon()

    def flush_soon(self) -> None:
        """Have what waits for the peer sent with the next turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def flush_if_wanted(self) -> None:
        """The same, if anything waits."""
        if not self._flushing and self._session.wants_write:
            self.flush_soon()

    def announce_shutdown(self) -> None:
        """Tell the peer to open no more streams here. Those that it opened meanwhile are served."""
        if self._transport is None or self._upkeep is None or self._session.over or self._goodbye_after is not None:
            return
        self._goodbye_after = self._session.pongs + 1
        self._session.announce_shutdown()
        self._upkeep.leaving()
        self._flush()

    def close(self) -> None:
        """Take no more streams, and close when the peer has been sent all answers."""
        if self._transport is None:
            return
        if not self._session.over:
            self.say_goodbye()
        self._flush()

    def abort(self) -> None:
        """Close without waiting for the peer to read what it was sent."""
        if self._transport is not None:
            self._transport.abort()

    @cached_property
    def peer_certificate(self) -> Shown | None:
        """What counts of the certificate that the peer has shown, None for none."""
        return of_ssl(None if self._transport is None else self._transport.get_extra_info("ssl_object"))

    def peer(self) -> str:
        """Return the address of the peer, in gRPC's notation."""
        return peer_of(self._transport)

    def _flush(self) -> None:
        self._flushing = False
        transport, session = self._transport, self._session
        if transport is None or self.paused or transport.is_closing():
            return
        try:
            data = session.output(_OUTPUT)
        except (Http2Error, MemoryError) as error:
            self.broken(error)
            return
        if data:
            transport.write(data)
        for call in session.take_changed():
            call.advance()
        if self._held and not session.overfull:
            held, self._held = self._held, []
            for call in held:
                call.advance()
        if len(data) >= _OUTPUT:
            self.flush_soon()
        elif session.over:
            transport.close()

    def say_goodbye(self) -> None:
        """Take no more streams. The connection is closed when those that are open have ended."""
        self._goodbye_after = None
        self._session.goaway()
        self.flush_soon()

    def cut(self) -> None:
        """End the calls that are open, and the connection with them."""
        for call in self._session.streams:
            call.end(_UNAVAILABLE, "the connection has reached its greatest age")
        self.close()

    def vanish(self, why: str) -> None:
        """Close the connection of a peer that is not there: nothing that waits for it is sent."""
        logger.debug("closing the connection of %s: %s", self.peer(), why)
        self.abort()

    def described(self) -> tuple[Session, Any, Any, str | None]:
        """Return what a connection can tell of itself: counts, the addresses of both ends, the cipher of TLS."""
        if self._transport is None:
            return self._session, None, None, None
        tls = self._transport.get_extra_info("ssl_object")
        cipher = None if tls is None else tls.cipher()
        ours, theirs = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        return self._session, ours, theirs, None if cipher is None else cipher[0]

    @property
    def pings(self) -> int:
        """How often the peer was asked for a sign of life."""
        return 0 if self._upkeep is None else self._upkeep.pings

    @property
    def closing(self) -> bool:
        """Whether the connection is closed as soon as the peer has taken what was sent."""
        return self._transport is not None and self._transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Whether no call is open."""
        return self._upkeep is not None and not self._session.open_streams

    @property
    def idle_since(self) -> float:
        """When that began, as far as it was looked at, by the clock of the loop. Who never had a call comes first."""
        return 0.0 if self._upkeep is None or not self._session.opened else self._upkeep.idle_since

    def broken(self, error: Exception) -> None:
        """Close: nothing sensible can be said to this peer any more."""
        logger.debug("closing the connection of %s: %s", self.peer(), error)
        if self._transport is not None:
            # An orderly end: a peer that spoke another protocol sees the connection closed, not reset.
            self._transport.close()

    def _count_resets(self) -> None:
        # A bucket that refills, told as the time until which its content would last.
        new = self._session.resets - self._resets_seen
        self._resets_seen = self._session.resets
        now = self.loop.time()
        self._resets_until = max(self._resets_until, now) + new / _RESETS_PER_SECOND
        if self._resets_until - now > _RESETS / _RESETS_PER_SECOND:
            self._calm("resets", b"too_many_resets", "it breaks off too many calls")

    def _calm(self, reason: str, told: bytes, why: str) -> None:
        if self._calmed or self._session.over or self.closing:
            return
        self._calmed = True
        logger.warning("closing the connection of %s: %s", self.peer(), why)
        self._server.crowd.ends[reason] += 1
        self._session.terminate(_ENHANCE_YOUR_CALM, told)
        self.flush_soon()

    def _not_greeted(self) -> None:
        self._greeting = None
        self._server.crowd.ends["greeting"] += 1
        self.broken(Http2Error("no preface came"))

    def _stop_greeting(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None


def _keep_alive(connected: Any) -> None:
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not everywhere
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
