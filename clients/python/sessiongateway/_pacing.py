"""When to wait, and for how long. All of it can be replaced, so that tests wait for nothing."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Tells and passes the time."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The real one."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Backoff:
    """Waiting times that grow: `initial`, then `multiplier` times more with each attempt, up to `maximum` (seconds)."""

    initial: float
    maximum: float
    multiplier: float = 2.0

    def delay(self, attempt: int, random: float) -> float:
        """Return the wait after attempt 0, 1, ...: between half and all of its step, as `random` (0 to 1) says."""
        # The exponent is bounded because a stream may reconnect for weeks, and a float does overflow.
        step = min(self.maximum, self.initial * self.multiplier ** min(attempt, 64))
        return step * (0.5 + random / 2)


@dataclass(frozen=True)
class Pacing:
    """Every wait that the client takes by itself. The defaults suit programs; tests bring their own."""

    clock: Clock = field(default_factory=SystemClock)
    random: Callable[[], float] = random.random
    """Returns a number from 0 to 1; spreads the waits of many clients."""
    drain_attempts: int = 4
    """How often a run is sent at most, when every answer is GATEWAY_DRAINING or STORE_UNAVAILABLE."""
    drain: Backoff = Backoff(initial=0.2, maximum=5.0)
    """Between these, if the gateway does not ask for more."""
    reconnect: Backoff = Backoff(initial=0.1, maximum=5.0)
    """Before a broken stream is opened again; its maximum is far below the usual session timeout of 60 s."""
    reply_timeout: float = 10.0
    """Seconds without an answer after which a keepalive stream counts as broken: a host that vanished says nothing."""
    watch_timeout: float = 100.0
    """Seconds of silence after which a watch counts as broken: a gateway sends something every 30 s at least."""
    end_timeout: float = 10.0
    """Seconds that leaving a session handle may take to end the session, if the handle has no timeout of its own."""
    status_timeout: float = 1.0
    """Seconds for the status behind the result of a stream. It usually comes along with it, and a gateway takes a call
    that is left without it for a cancelled one; but who has the result waits no longer than this."""


class Deadline:
    """A moment by which a request, with all its attempts, must be over; or none."""

    def __init__(self, clock: Clock, timeout: float | None) -> None:
        """Start counting `timeout` seconds now; None never ends."""
        self._clock = clock
        self._moment = None if timeout is None else clock.monotonic() + timeout

    def remaining(self) -> float | None:
        """Return the seconds left, below 0 when it has passed; None if there is no end."""
        return None if self._moment is None else self._moment - self._clock.monotonic()
