"""The calls of one session, one after another (or as many at a time as the app allows), in order of arrival."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.clock import Clock
from gateway.errors import GatewayError, RunState, SessionBusy
from gateway.timing import RETRY_HINT


class Turns:
    """A bounded queue in front of one worker."""

    def __init__(self, session_id: str, concurrency: int, queue_size: int, clock: Clock) -> None:
        self._session_id = session_id
        self._free = concurrency
        self._queue_size = queue_size
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._coming = 0
        self._paused = 0
        self._closed: Callable[[], GatewayError] | None = None

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._waiting)

    def expect(self) -> None:
        """Keep room for a call that is being admitted, until `expected` is called.

        Raises SessionBusy when it would have to wait and the queue is full.
        """
        if self._free <= self._coming and len(self._waiting) + self._coming - self._free >= self._queue_size:
            raise self._busy(f"{self._queue_size} calls of session {self._session_id} are waiting already")
        self._coming += 1

    def expected(self) -> None:
        """The call enters in this moment, or not at all."""
        self._coming -= 1

    def entered(self) -> bool:
        """Take this call's turn if it is free. Whoever entered must `leave`. Raises what `close` was given."""
        if self._closed is not None:
            raise self._closed()
        if self._free == 0 or self._paused:
            return False
        self._free -= 1
        return True

    async def enter(self, patience: float) -> None:
        """Wait for this call's turn, `patience` seconds at the most. Whoever entered must `leave`.

        Raises SessionBusy when the turn did not come, and what `close` was given.
        """
        if self.entered():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        timer = self._clock.call_later(patience, lambda: self._give_up(turn))
        try:
            await turn
            if self._closed is not None:  # since the turn came
                self.leave()
                raise self._closed()
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self.leave()  # the turn came in the same moment as the cancellation
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Let the next one in."""
        while self._waiting and not self._paused:
            turn = self._waiting.popleft()
            # One whose call has been cancelled in this very moment is still in the queue.
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def pause(self) -> None:
        """Let nobody in until `resume`, which is called as often."""
        self._paused += 1

    def resume(self) -> None:
        """Let those in again who have a turn."""
        self._paused -= 1
        for _ in range(self._free if self._waiting and not self._paused else 0):
            self._free -= 1
            self.leave()

    def close(self, error: Callable[[], GatewayError]) -> None:
        """Turn away all who wait, and all who come, each with an error of its own: the session is over."""
        self._closed = error
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error())

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._waiting.remove(turn)
            turn.set_exception(self._busy(f"the calls ahead of it in session {self._session_id} took too long"))

    def _busy(self, why: str) -> SessionBusy:
        return SessionBusy(
            f"the call was not started: {why}",
            metadata={"sessionId": self._session_id},
            session_id=self._session_id,
            run_state=RunState.NOT_STARTED,
            retry_after=RETRY_HINT,
        )
