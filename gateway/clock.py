"""Time as an argument: monotonic for leases, wall clock for display.

All times of the domain are seconds as floats. The monotonic clock is that of the whole machine since its boot, so
that gateway processes on one machine, also one after another, agree on a lease that the store remembers.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol


class Instant(NamedTuple):
    """One moment on both clocks: `monotonic` seconds since boot, `wall` seconds since the epoch."""

    monotonic: float
    wall: float


class Timer(Protocol):
    """A callback that is yet to come."""

    def cancel(self) -> None:
        """Forget the callback. Does nothing when it has already run."""


class Clock(ABC):
    """Where the domain gets its time and its timers."""

    boot_id: str
    """Names the run of the monotonic clock: monotonic times of another boot mean nothing."""

    @abstractmethod
    def now(self) -> Instant:
        """Return the present moment."""

    @abstractmethod
    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` on the event loop after `delay` seconds, never before."""


class SystemClock(Clock):
    """The machine's clocks and the running event loop's timers."""

    def __init__(self) -> None:
        self.boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def now(self) -> Instant:
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(delay, callback)
