"""Workers that are ended in their turn: a few at a time, so that the end of many leaves processors to the living."""

import os
from collections.abc import Callable
from functools import partial

from gateway.clock import Clock, Timer
from gateway.timing import ENDING_PATIENCE, ENDING_PAUSE, ENDING_TURN
from gateway.workers.pooled import PooledWorker

AT_A_TIME = os.cpu_count() or 1
"""Workers that are made to end at the same time: they compute (unload() above all), and more of them are not faster."""


class EndingQueue:
    """Ends workers in the order in which they come, as soon as no more of them come."""

    def __init__(self, clock: Clock, end: Callable[[PooledWorker, str], object], at_a_time: int = AT_A_TIME) -> None:
        """`end` is called when a worker's turn has come, with the reason that it was given with."""
        self._clock = clock
        self._end = end
        self._at_a_time = at_a_time
        self._waiting: dict[PooledWorker, tuple[str, float]] = {}
        """Each with its reason and the moment at which it has waited long enough."""
        self._ending: dict[PooledWorker, Timer] = {}
        self._pause: Timer | None = None

    def add(self, worker: PooledWorker, reason: str) -> None:
        """End this worker when those before it are through."""
        worker.leave()
        now = self._clock.now().monotonic
        self._waiting[worker] = reason, now + ENDING_PATIENCE
        _, until = self._waiting[next(iter(self._waiting))]
        if self._pause is not None:
            self._pause.cancel()
        self._pause = self._clock.call_later(max(0.0, min(ENDING_PAUSE, until - now)), self.hurry)

    def remove(self, worker: PooledWorker) -> str | None:
        """Forget a worker that is gone, or is ended by somebody else. Returns its reason if it was still waiting."""
        waited = self._waiting.pop(worker, None)
        turn = self._ending.pop(worker, None)
        if turn is not None:
            turn.cancel()
            self._next()
        return waited[0] if waited else None

    def hurry(self) -> None:
        """Wait for no more workers before the next ones are ended."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._next()

    def close(self) -> None:
        """End all who wait now."""
        self._at_a_time = len(self._waiting) + len(self._ending)
        self.hurry()

    def _next(self) -> None:
        while self._waiting and self._pause is None and len(self._ending) < self._at_a_time:
            worker = next(iter(self._waiting))
            reason, _ = self._waiting.pop(worker)
            # One that takes its time, in unload() or with a signal, waits rather than computes: it is not waited for.
            self._ending[worker] = self._clock.call_later(ENDING_TURN, partial(self.remove, worker))
            self._end(worker, reason)
