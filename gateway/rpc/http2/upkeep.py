"""What is done about a connection now and then: is its peer there, does it take what it is sent, how old is it."""

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from gateway.rpc.bounds import Bounds
from gateway.timing import CONNECTION_LOOK, HTTP2_GOODBYE

if TYPE_CHECKING:
    from gateway.rpc.http2._nghttp2 import Session

_JITTER = 0.1
"""Of the age: connections that were made together do not all come back together."""

_LOOKS = 4
"""How often a connection is looked at in the shortest time that counts."""


class Kept(Protocol):
    """What is asked of a connection."""

    heard: bool
    """Set with all that comes. Whoever looks at it takes it back."""
    paused: bool
    """Whether the peer takes so little of what it is sent that nothing more is read from it."""

    @property
    def closing(self) -> bool: ...
    def flush_soon(self) -> None: ...
    def announce_shutdown(self) -> None: ...
    def say_goodbye(self) -> None: ...
    def cut(self) -> None: ...
    def vanish(self, why: str) -> None: ...


class Upkeep:
    """Looks after one connection, by a timer that no call touches.

    A silent peer is sent a ping, and when that is not answered the connection is closed. One that does not read what it
    is sent is not read from, so its silence says nothing: it has as long to take it. At its age, or when it was idle
    for long, a connection is ended as gRPC clients expect it: first the peer is asked to open no more streams, then,
    when that has come there, it is told which streams were the last.
    """

    def __init__(
        self,
        connection: Kept,
        session: "Session",
        bounds: Bounds,
        loop: asyncio.AbstractEventLoop,
        ends: "Counter[str]",
    ) -> None:
        now = loop.time()
        self.idle_since = now
        self.pings = 0
        self._connection, self._session, self._bounds, self._loop, self._ends = connection, session, bounds, loop, ends
        self._opened = 0
        self._heard_at = self._last_look = now
        self._asked_at: float | None = None
        self._stuck_since: float | None = None
        age = bounds.max_age * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._old_at = now + age if age else float("inf")
        self._goodbye_at = self._cut_at = float("inf")
        self._step = min([CONNECTION_LOOK, *(time / _LOOKS for time in _times(bounds) if time)])
        self._timer = loop.call_later(self._delay(now), self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def leaving(self) -> None:
        """Take note that the peer has been asked to open no more streams."""
        now = self._loop.time()
        self._old_at = float("inf")
        self._goodbye_at = now + HTTP2_GOODBYE
        self._timer.cancel()
        self._timer = self._loop.call_later(self._delay(now), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self._session.forgive(int(now - self._last_look) + 1)
        self._last_look = now
        why = self._stuck(now) or self._silent(now)
        if why is not None:
            self._ends["unread" if self._connection.paused else "keepalive"] += 1
            self._connection.vanish(why)
            return
        self._retire(now)
        self._timer.cancel()
        self._timer = self._loop.call_later(self._delay(now), self._look)

    def _delay(self, now: float) -> float:
        asked = float("inf") if self._asked_at is None else self._asked_at + self._bounds.keepalive_timeout
        return max(0.0, min(self._step, *(at - now for at in (asked, self._old_at, self._goodbye_at, self._cut_at))))

    def _stuck(self, now: float) -> str | None:
        """Return why a connection is over whose peer does not take what it is sent, None while it may take longer."""
        if not self._connection.paused and not self._connection.closing:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self._bounds.keepalive_time + self._bounds.keepalive_timeout:
            return "it does not take what it is sent"
        return None

    def _silent(self, now: float) -> str | None:
        """Return why the connection of a silent peer is over; ask for a sign of life before."""
        if self._connection.heard:
            self._connection.heard = False
            self._heard_at, self._asked_at = now, None
        elif self._connection.paused or not self._bounds.keepalive_time:
            return None
        elif self._asked_at is None:
            if now - self._heard_at >= self._bounds.keepalive_time and not self._connection.closing:
                self._asked_at = now
                self.pings += 1
                self._session.ping()
                self._connection.flush_soon()
        elif now - self._asked_at >= self._bounds.keepalive_timeout:
            # Not because this side was held up: a loop reads what has come before it looks at its timers.
            return "it does not answer"
        return None

    def _retire(self, now: float) -> None:
        if self._session.open_streams or self._session.opened != self._opened:
            self._opened = self._session.opened
            self.idle_since = now
        if now >= self._cut_at:
            self._cut_at = float("inf")
            self._connection.cut()
        elif now >= self._goodbye_at:
            self._goodbye_at = float("inf")
            self._connection.say_goodbye()
        elif now >= self._old_at or 0.0 < self._bounds.max_idle <= now - self.idle_since:
            self._ends["age" if now >= self._old_at else "idle"] += 1
            self.idle_since = now
            self._cut_at = now + self._bounds.age_grace
            self._connection.announce_shutdown()


def _times(bounds: Bounds) -> tuple[float, ...]:
    return bounds.keepalive_time, bounds.max_idle
