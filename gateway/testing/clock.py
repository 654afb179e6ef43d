"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

from gateway.clock import Clock, Instant, Timer

_TURNS_TO_SETTLE = 50
"""Turns of the event loop after each timer: more than any chain of callbacks and tasks in the gateway needs."""


async def settle() -> None:
    """Let everything that is ready to run on the event loop run."""
    for _ in range(_TURNS_TO_SETTLE):
        await asyncio.sleep(0)


class FakeTimer:
    """A callback that waits for its virtual moment."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = None


class FakeClock(Clock):
    """Virtual time: starts at monotonic 1,000 s and wall clock 1,700,000,000 s, and moves only by `advance`."""

    boot_id = "fake"

    def __init__(self, settled: Callable[[], Awaitable[None]] = settle) -> None:
        """`settled` is awaited around each timer, so that what it starts has run before the next one fires."""
        self.elsewhere: Callable[[], Awaitable[bool]] | None = None
        """Waits for what goes on outside the event loop, and says whether there was anything."""
        self._settled = settled
        self._elapsed = 0.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()

    def now(self) -> Instant:
        return Instant(1_000.0 + self._elapsed, 1_700_000_000.0 + self._elapsed)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (self._elapsed + delay, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let that much time pass: every timer on the way fires at its own moment, and what it starts may settle."""
        target = self._elapsed + seconds
        await self._quiet()
        while self._timers and self._timers[0][0] <= target:
            moment, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, moment)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
                await self._quiet()
        self._elapsed = target
        await self._quiet()

    async def _quiet(self) -> None:
        await self._settled()
        while self.elsewhere is not None and await self.elsewhere():
            await self._settled()
