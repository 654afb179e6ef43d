"""TLS between a socket and a connection: to the socket a protocol, to the connection its transport.

In place of the loop's own, which closes without the alert that tells a peer why its handshake failed.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast

from gateway.rpc.http2.addresses import peer_of
from gateway.rpc.http2.crowd import Crowd
from gateway.rpc.refusals import Reason, Refusals, reason_of
from gateway.timing import TLS_HANDSHAKE

logger = logging.getLogger("gateway.rpc.http2")

_READ = 256 * 1024


class Encrypted(asyncio.Protocol, asyncio.Transport):
    """One encrypted connection. Whom it is for is made by `accept`, when the handshake is done and HTTP/2 agreed on."""

    def __init__(
        self,
        accept: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        loop: asyncio.AbstractEventLoop,
        refusals: Refusals,
        crowd: Crowd,
    ) -> None:
        super().__init__()
        self._crowd = crowd
        crowd.handshakes[self] = None
        self._refusals = refusals
        self._accept = accept
        self._inner: asyncio.Protocol | None = None
        """None until the handshake is done: many handshakes that never are must not take much."""
        self._loop = loop
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._raw: asyncio.Transport | None = None
        self._closing = False
        self._patience: asyncio.TimerHandle | None = None

    # What the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._patience = self._loop.call_later(TLS_HANDSHAKE, self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._incoming.write(data)
        inner = self._inner or self._shake_hands()
        if inner is None:
            return
        try:
            while not self._closing:
                plain = self._tls.read(_READ)
                if not plain:
                    self.close()
                    return
                inner.data_received(plain)
        except ssl.SSLWantReadError:
            # What TLS has to say of itself, such as to an update of keys.
            self._send()
        except ssl.SSLError as error:
            self._fail(str(error))

    def eof_received(self) -> bool:
        return False  # closes the transport: nothing that is half open can be answered

    def connection_lost(self, exc: Exception | None) -> None:
        self._raw = None
        self._closing = True
        self._stop_waiting()
        self._crowd.handshakes.pop(self, None)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # What the connection asks for

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        rest = memoryview(data)
        try:
            while rest:  # a record at a time
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            self._fail(str(error))
            return
        self._send()

    def close(self) -> None:
        """Send what was written, and the notice that it was all, and close."""
        if self._closing:
            return
        if self._inner is not None:
            # Ends by wanting to read the peer's notice, which need not be waited for (RFC 8446, 6.1).
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        self._send()
        self._closing = True
        if self._raw is not None:
            self._raw.close()

    def abort(self) -> None:
        self._closing = True
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing or self._raw is None or self._raw.is_closing()

    def pause_reading(self) -> None:
        if self._raw is not None:
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._raw is not None:
            self._raw.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        return default if self._raw is None else self._raw.get_extra_info(name, default)

    # The handshake

    def _shake_hands(self) -> asyncio.Protocol | None:
        """Go on with the handshake. Returns whom what follows it is for, once it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return None
        except ssl.SSLError as error:
            self._refuse(reason_of(error.reason or ""), _said(error))
            return None
        self._stop_waiting()
        self._send()
        if self._tls.selected_alpn_protocol() != "h2":
            self._refuse(Reason.NO_HTTP2, "the client does not offer h2 by ALPN")
            return None
        self._crowd.handshakes.pop(self, None)
        self._inner = self._accept()
        self._inner.connection_made(self)
        return self._inner

    def _too_slow(self) -> None:
        self._refuse(Reason.TOO_SLOW, "it takes too long")

    def _refuse(self, reason: Reason, why: str) -> None:
        self._refusals.add(reason, peer_of(self._raw), why)
        self._fail(why)

    def _fail(self, reason: str) -> None:
        """Close for a fault of the peer, after the alert that tells it which."""
        logger.debug("closing a connection: TLS: %s", reason)
        self._stop_waiting()
        self._send()
        self._closing = True
        if self._raw is not None:
            self._raw.close()

    def _send(self) -> None:
        if self._raw is not None and self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _said(error: ssl.SSLError) -> str:
    """Return what OpenSSL says, of a certificate also what is wrong with it."""
    verified = getattr(error, "verify_message", "")
    return f"{error.reason} ({verified})" if verified else error.reason or str(error)
