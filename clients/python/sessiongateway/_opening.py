"""How the calls of a session handle take turns until one of them has opened the session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessiongateway._exceptions import DeadlineExceededError
from sessiongateway._pacing import Deadline
from sessiongateway._portal import waiting_thread


class Opening:
    """Lets one call at a time try to open the session, while others wait.

    A stream that opens it keeps its turn while its reader is busy with an output. A call that this very reader makes
    meanwhile would wait for ever, and is refused.
    """

    def __init__(self) -> None:
        """Nobody has the turn."""
        self._lock = asyncio.Lock()
        self._reader: object = None

    @asynccontextmanager
    async def turn(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for the turn and keep it while the block runs.

        Raises:
            RuntimeError: The caller reads a stream that has the turn.
            DeadlineExceededError: It did not come in time.
        """
        if self._reader is not None and self._reader == _caller():
            raise RuntimeError(
                "the session is being opened by a stream: read it to its end, or close it, before the next call"
            )
        try:
            async with asyncio.timeout(deadline.remaining()):
                await self._lock.acquire()
        except TimeoutError:
            message = "the session was not open in the time given"
            raise DeadlineExceededError(message, run_state="not_started") from None
        try:
            yield
        finally:
            self._reader = None
            self._lock.release()

    def read_by_caller(self) -> None:
        """Remember that whoever has the turn gives an output to whoever waits for it now."""
        self._reader = _caller()


def _caller() -> object:
    """Return who waits for what is done here: with the synchronous client a thread, else a task."""
    return waiting_thread.get() or asyncio.current_task()
