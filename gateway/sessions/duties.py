"""What the session manager does beside answering callers: now and then, or as soon as it comes to it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.clock import Clock, Timer
from gateway.errors import StoreUnavailable

logger = logging.getLogger("gateway.sessions")


class Duties:
    """Tasks of which nobody waits for the outcome. What they raise is logged; a store that fails is no news."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, Timer] = {}
        self._closed = False

    def every(self, interval: float, name: str, duty: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something every so many seconds, until `stop`."""

        async def run() -> None:
            try:
                await duty()
            finally:
                if not self._closed:
                    self.every(interval, name, duty)

        self._timers[name] = self._clock.call_later(interval, lambda: self.spawn(run()))

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something now."""

        async def run() -> None:
            try:
                await work
            except StoreUnavailable:
                logger.debug("a duty of the session manager waits for the store")
            except Exception:
                logger.exception("a duty of the session manager failed")

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Do nothing regularly any more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()

    async def settled(self) -> None:
        """Wait until everything that was spawned so far has run."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def done(self) -> None:
        """Wait until nothing is to be done any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)
