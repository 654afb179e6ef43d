"""A clock that stands still until the test moves it."""

import asyncio
import threading

from tests.sdk.scripted import WAIT


class FakeClock:
    """Can be used from any event loop, and moved from any thread."""

    def __init__(self) -> None:
        self.now = 0.0
        self._changed = threading.Condition()
        self._sleepers: dict[asyncio.Future[None], tuple[float, float]] = {}

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        with self._changed:
            self._sleepers[sleeper] = (self.now + seconds, seconds)
            self._changed.notify_all()
        try:
            await sleeper
        finally:
            with self._changed:
                self._sleepers.pop(sleeper, None)

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake those whose time has come."""
        with self._changed:
            self.now += seconds
            for sleeper in [sleeper for sleeper, (due, _) in self._sleepers.items() if due <= self.now]:
                # Taken out here, so that a test never finds a sleeper that is already being woken.
                del self._sleepers[sleeper]
                sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    def wait_for_sleep(self, seconds: float) -> None:
        """Wait until somebody sleeps for so long."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: any(abs(length - seconds) < 1e-6 for _, length in self._sleepers.values()), WAIT
            )
            asleep = [length for _, length in self._sleepers.values()]
        assert found, f"nobody sleeps for {seconds} s, only {asleep}"


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
