"""The workers of one app version that answer plain calls, warm between them and never leased to a session."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.model import AppVersion
from gateway.timing import SHARED_REPLACEMENT
from gateway.workers.fair_queue import FairQueue
from gateway.workers.pooled import PooledWorker, WorkerState


@dataclass(eq=False)
class _Caller:
    owner: str
    place: asyncio.Future[PooledWorker]


class SharedWorkers:
    """Hands out free places, starts another worker when all are taken, and queues callers in turns beyond that."""

    def __init__(
        self,
        app: AppVersion,
        limit: int,
        clock: Clock,
        obtain: Callable[[AppVersion, float], Awaitable[PooledWorker]],
        none_available: Callable[[AppVersion], GatewayError],
    ) -> None:
        """`obtain` gives a fresh worker within some seconds; `none_available` makes the error of a vain wait."""
        self._app = app
        self._limit = limit
        self._clock = clock
        self._obtain = obtain
        self._none_available = none_available
        self._workers: list[PooledWorker] = []
        self._waiters: FairQueue[_Caller] = FairQueue()
        self._starting: set[asyncio.Task[None]] = set()

    async def acquire(self, timeout: float, owner: str = "") -> PooledWorker:
        """Return a worker with one of its places taken. Raises what `obtain` raises, and the error of a vain wait."""
        worker = self._free()
        if worker is not None and not self._waiters:
            worker.calls += 1
            return worker
        place: asyncio.Future[PooledWorker] = asyncio.get_running_loop().create_future()
        caller = _Caller(owner, place)
        self._waiters.add(caller)
        self._start_more(timeout)
        timer = self._clock.call_later(timeout, lambda: self._give_up(caller))
        try:
            return await place
        except asyncio.CancelledError:
            if caller in self._waiters:
                self._waiters.remove(caller)
            elif place.done() and not place.cancelled() and place.exception() is None:
                self.release(place.result())
            raise
        finally:
            timer.cancel()

    def release(self, worker: PooledWorker) -> None:
        """Free a place."""
        worker.calls -= 1
        worker.idle_since = self._clock.now().monotonic
        self._serve()

    def lost(self, worker: PooledWorker) -> None:
        """Forget a worker that has gone; those who wait get another one."""
        if worker in self._workers:
            self._workers.remove(worker)
            if self._waiters:
                self._start_more(SHARED_REPLACEMENT)

    def pop_unused(self) -> PooledWorker | None:
        """Give up one worker that is doing nothing, if there is one and nobody waits."""
        unused = [worker for worker in self._workers if worker.calls == 0] if not self._waiters else []
        if not unused:
            return None
        self._workers.remove(unused[0])
        return unused[0]

    def pop_idle(self, since: float) -> list[PooledWorker]:
        """Give up the workers that have done nothing since that monotonic time."""
        idle = [worker for worker in self._workers if worker.calls == 0 and worker.idle_since < since]
        self._workers = [worker for worker in self._workers if worker not in idle]
        return idle

    def _free(self) -> PooledWorker | None:
        # One that has died is told of its last call before it is taken off the list.
        free = [worker for worker in self._workers if worker.exit is None and worker.calls < self._app.concurrency]
        return min(free, key=lambda worker: worker.calls, default=None)

    def _serve(self) -> None:
        while self._waiters:
            worker = self._free()
            if worker is None:
                return
            caller = next(iter(self._waiters))
            self._waiters.serve(caller)
            # One who has been cancelled in this very moment is still in the queue.
            if not caller.place.done():
                worker.calls += 1
                caller.place.set_result(worker)

    def _start_more(self, timeout: float) -> None:
        room = self._limit - len(self._workers) - len(self._starting)
        missing = len(self._waiters) - len(self._starting) * self._app.concurrency
        for _ in itertools.repeat(None, max(0, min(room, -(-missing // self._app.concurrency)))):
            task = asyncio.get_running_loop().create_task(self._start(timeout))
            self._starting.add(task)
            task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if self._waiters:
            self._start_more(SHARED_REPLACEMENT)

    async def _start(self, timeout: float) -> None:
        until = self._clock.now().monotonic + timeout
        try:
            worker = await self._obtain(self._app, timeout)
        except GatewayError as error:
            if self._clock.now().monotonic >= until:
                return  # the wait of the caller for whom it was; the others have limits of their own
            # Whoever is next hears of it. The others get a start of their own, which may go better.
            caller = next((caller for caller in self._waiters if not caller.place.done()), None)
            if caller is not None:
                self._waiters.serve(caller)
                caller.place.set_exception(error)
            return
        if worker.exit is not None:
            return  # died before it came here
        worker.state = WorkerState.SHARED
        worker.idle_since = self._clock.now().monotonic
        self._workers.append(worker)
        self._serve()

    def _give_up(self, caller: _Caller) -> None:
        if not caller.place.done():
            self._waiters.remove(caller)
            caller.place.set_exception(self._none_available(self._app))
