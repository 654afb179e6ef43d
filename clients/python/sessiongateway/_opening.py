"""How the calls of a session handle take turns until one of them has opened the session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessiongateway._exceptions import DeadlineExceededError
from sessiongateway._pacing import Deadline


class Opening:
    """Lets one call at a time try to open the session, while others wait."""

    def __init__(self) -> None:
        """Nobody has the turn."""
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for the turn and keep it while the block runs.

        Raises:
            DeadlineExceededError: It did not come in time.
        """
        try:
            async with asyncio.timeout(deadline.remaining()):
                await self._lock.acquire()
        except TimeoutError:
            message = "the session was not open in the time given"
            raise DeadlineExceededError(message, run_state="not_started") from None
        try:
            yield
        finally:
            self._lock.release()
