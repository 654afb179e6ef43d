"""All connections of a server: no more than there may be."""

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from gateway.rpc.http2.addresses import peer_of
from gateway.timing import CONNECTIONS_TOLD

if TYPE_CHECKING:
    from gateway.rpc.http2._nghttp2 import Session
    from gateway.rpc.http2.connection import Connection
    from gateway.rpc.http2.encryption import Encrypted

logger = logging.getLogger("gateway.rpc.http2")

_PART = 100
"""Which part of the connections is closed at once for new ones: to look for the longest idle takes as long as they are
many."""

REFUSED, CROWDED = "refused", "crowded"

REASONS = ("keepalive", "unread", "age", "idle", "greeting", "chatter", "resets", CROWDED, REFUSED)
"""Why this side ends a connection that would have stayed."""


class Crowd:
    """The connections of one server, those in the handshake of TLS apart."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.connections: set[Connection] = set()
        self.handshakes: dict[Encrypted, None] = {}
        """In the order in which they came."""
        # Present from the start: Prometheus does not see a number rise that was not there before.
        self.ends: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        """How many connections this side has ended, by the reason."""
        self.past_calls = (0, 0, 0)
        """Of connections that are gone: how many were opened, answered, broken off."""
        self._told_at = float("-inf")

    def take_leave(self, session: "Session") -> None:
        """Keep the counts of a connection that is gone."""
        opened, answered, broken = self.past_calls
        self.past_calls = opened + session.opened, answered + session.answered, broken + session.resets

    def has_room(self, now: float) -> bool:
        """Whether one more may come; if need be others go for it. Those that may be in use stay."""
        if len(self.connections) + len(self.handshakes) < self.most:
            return True
        gone = self._make_room(max(1, self.most // _PART))
        if not gone:
            self.ends[REFUSED] += 1
        self.ends[CROWDED] += gone
        if now - self._told_at >= CONNECTIONS_TOLD:
            self._told_at = now
            done = "closing idle ones" if gone else "refusing new ones, because all have calls"
            logger.warning("there are %d connections, as many as there may be: %s", self.most, done)
        return bool(gone)

    def _make_room(self, count: int) -> int:
        # Who has not even said what it wants goes first.
        shaking = list(self.handshakes)[:count]
        for handshake in shaking:
            del self.handshakes[handshake]
            handshake.abort()
        count -= len(shaking)
        idle = sorted((each for each in self.connections if each.is_idle), key=lambda each: each.idle_since)[:count]
        for connection in idle:
            self.connections.discard(connection)
            connection.close()
        return len(shaking) + len(idle)


class Refused(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        logger.debug("refused the connection of %s", peer_of(transport))
        transport.close()
