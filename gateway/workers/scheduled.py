"""What all pools of processes have in common: who gets which worker, when more are started, and which give way."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence

from gateway.clock import Clock, Timer
from gateway.errors import AppStartFailed, WorkerLeased, WorkerNotFound
from gateway.model import AppRef, AppVersion, FunctionDescription
from gateway.timing import START_BACKOFF_FIRST, START_BACKOFF_MAX
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import Worker, WorkerLease, WorkerPool, none_available
from gateway.workers.ending import EndingQueue
from gateway.workers.figures import PoolFigures, figures_of
from gateway.workers.meter import START, PoolMeter
from gateway.workers.place import Place
from gateway.workers.pooled import PooledWorker, StartInterrupted, WorkerState
from gateway.workers.shared import SharedWorkers
from gateway.workers.version import Source, Version
from gateway.workers.waiters import Waiter, Waiters

logger = logging.getLogger("gateway.workers")


class ScheduledPool(WorkerPool):
    """A pool that is driven by `_schedule`: whenever someone asks, a worker becomes ready or one is gone, it hands
    ready workers to those who wait, in the order in which they came, and starts more as the limit allows.
    """

    def __init__(self, settings: WorkerSettings, clock: Clock, place: Place) -> None:
        """With a `place` of one process among several the settings are for all of them."""
        self.meter = PoolMeter()
        self.on_change: Callable[[], object] = lambda: None
        """Called when `is_available` has changed."""
        self._place = place
        self._settings = settings
        self._clock = clock
        self._versions: dict[AppRef, Version] = {}
        self._workers: dict[str, PooledWorker] = {}
        self._waiters = Waiters()
        self._leaving = EndingQueue(clock, lambda worker, reason: worker.end(settings.end_grace, reason))
        self._tasks: set[asyncio.Task[None]] = set()
        self._removing = 0
        self._tick: Timer | None = None
        self._closing = False
        self._all_gone = asyncio.Event()

    @abstractmethod
    def _new_source(self, app: AppVersion) -> Source:
        """Return where the workers of a version come from."""

    @abstractmethod
    def _new_worker(self, version: Version) -> PooledWorker:
        """Return a worker that is yet to be started, and that tells `_gone` of its end."""

    @abstractmethod
    async def _start(self, version: Version, worker: PooledWorker) -> None:
        """Start it, and wait until it is ready. Raises AppStartFailed, StartInterrupted and OSError."""

    @abstractmethod
    async def _adopt(self, lease: WorkerLease) -> PooledWorker | None:
        """Take over the worker of a lease. Returns None when it is not there any more."""

    @abstractmethod
    async def _closed(self, kept: Collection[str]) -> None:
        """Clear away what is left when no worker is, but for those that are kept for another gateway."""

    def is_available(self) -> bool:
        """Whether workers can be started at the moment."""
        return True

    def _forgotten(self, worker: PooledWorker) -> None:
        """A worker is gone."""

    async def adopt(self, leases: Sequence[WorkerLease]) -> Mapping[str, Worker]:
        own = self._place.own(leases)
        workers = await asyncio.gather(*map(self._adopt, own))
        adopted = {lease.session_id: worker for lease, worker in zip(own, workers, strict=True) if worker is not None}
        self._workers |= {worker.id: worker for worker in adopted.values() if worker.exit is None}
        return adopted

    def detach(self, worker: Worker) -> None:
        assert isinstance(worker, PooledWorker)
        if self._workers.pop(worker.id, None) is not None:
            self._forgotten(worker)
            worker.detach()
        self._schedule()

    async def close(self, *, keep_leased: bool = False) -> None:
        self._closing = True
        self._turn_away()
        kept = [w for w in self._workers.values() if w.state is WorkerState.LEASED] if keep_leased else []
        for worker in kept:
            worker.detach()
            del self._workers[worker.id]
        self._leaving.close()
        for worker in list(self._workers.values()):
            worker.end(self._settings.end_grace)
        for task in self._tasks:
            task.cancel()
        await self._wait_until_gone()
        for version in self._versions.values():
            await version.source.stop()
        await self._closed([worker.id for worker in kept])

    def _turn_away(self) -> None:
        """Start nothing more, and tell those who wait."""
        if self._tick is not None:
            self._tick.cancel()
        for waiter in self._waiters:
            if not waiter.worker.done():
                waiter.worker.set_exception(none_available(waiter.version.app))
        for version in self._versions.values():
            if version.resting is not None:
                version.resting.cancel()

    def keep_ready(self, apps: Sequence[AppVersion]) -> None:
        wanted = {app.ref for app in apps}
        for version in self._versions.values():
            version.keep_ready = version.app.ref in wanted
        for app in apps:
            self._version(app).want_ready()
        self._schedule()

    async def describe(self, app: AppVersion, *, timeout: float) -> Sequence[FunctionDescription]:
        version = self._version(app)
        version.last_used = self._clock.now().monotonic
        functions = await version.source.functions(timeout)
        if functions is None:
            raise none_available(app)
        return functions

    async def lease(
        self,
        app: AppVersion,
        session_id: str,
        epoch: int,
        *,
        outlive: int = 0,
        worker_id: str = "",
        owner: str = "",
        timeout: float,
    ) -> Worker:
        worker = self._take(app, worker_id) if worker_id else await self.obtain(app, timeout, owner)
        worker.bind(session_id, epoch, outlive + self._settings.orphan_grace if outlive else 0)
        self._schedule()
        return worker

    async def acquire_shared(self, app: AppVersion, *, owner: str = "", timeout: float) -> Worker:
        version = self._version(app)
        version.last_used = self._clock.now().monotonic
        return await version.shared.acquire(timeout, owner)

    def release_shared(self, worker: Worker) -> None:
        assert isinstance(worker, PooledWorker)
        self._version(worker.app).shared.release(worker)

    def end(self, worker: Worker, reason: str = "", *, in_turn: bool = False) -> None:
        assert isinstance(worker, PooledWorker)
        if in_turn and worker.state is WorkerState.LEASED and not self._closing:
            self._leaving.add(worker, reason)
            return
        worker.end(self._settings.end_grace, self._leaving.remove(worker) or reason)

    def holder(self, worker_id: str) -> str | None:
        worker = self._workers.get(worker_id)
        return None if worker is None or worker.state is WorkerState.GONE else worker.session_id

    def idle_workers(self, app: AppVersion) -> Sequence[str]:
        version = self._versions.get(app.ref)
        return [worker.id for worker in version.idle] if version else []

    async def obtain(self, app: AppVersion, timeout: float, owner: str = "") -> PooledWorker:
        """Return a fresh worker that is nobody's yet. Raises NoWorkerAvailable and AppStartFailed."""
        if self._closing:
            raise none_available(app)
        version = self._version(app)
        version.last_used = self._clock.now().monotonic
        waiter = Waiter(owner, version, asyncio.get_running_loop().create_future(), version.last_used)
        self._waiters.add(waiter)
        self._schedule()
        timer = self._clock.call_later(timeout, lambda: self._give_up(waiter))
        try:
            return await waiter.worker
        except asyncio.CancelledError:
            self._put_back(waiter)
            raise
        finally:
            timer.cancel()
            self.meter.waits.observe(self._clock.now().monotonic - waiter.since)

    def _take(self, app: AppVersion, worker_id: str) -> PooledWorker:
        worker = self._workers.get(worker_id)
        if worker is not None and worker.state is WorkerState.LEASED:
            raise WorkerLeased.of(worker_id)
        if worker is None or worker.state is not WorkerState.IDLE or worker.app.ref != app.ref:
            raise WorkerNotFound.of(worker_id)
        self._version(app).idle.remove(worker)
        return worker

    def _give_up(self, waiter: Waiter) -> None:
        if not waiter.worker.done():
            self._waiters.remove(waiter)
            waiter.worker.set_exception(none_available(waiter.version.app))
            self._schedule()

    def _put_back(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.worker.done() and not waiter.worker.cancelled() and waiter.worker.exception() is None:
            # Given just before its taker went away: no session's code has run in it.
            self._became_idle(waiter.worker.result())
        self._schedule()

    def _version(self, app: AppVersion) -> Version:
        version = self._versions.get(app.ref)
        if version is None:
            shared = SharedWorkers(
                app, self._place.share.part(self._settings.max_shared), self._clock, self.obtain, none_available
            )
            version = self._versions[app.ref] = Version(app, shared, self._new_source(app))
        return version

    async def figures(self) -> PoolFigures:
        """Return how it stands at this moment."""
        return await figures_of(self._place, self._workers, self._waiters)

    def look_again(self) -> None:
        """Start more workers, or lend room: another process has changed something."""
        self._schedule()

    def _schedule(self) -> None:
        """Serve those who wait, in their turns; then fill up what is to be kept ready."""
        if self._closing:
            return
        self._serve_waiters()
        if self._place.share.count > 1:
            waiting = len(self._waiters.pending())
            if self._place.tell(len(self._workers), waiting, self._versions.values()):
                self._make_way(None)

    def _serve_waiters(self) -> None:
        for waiter in self._waiters.pending():
            if waiter.version.idle:
                self._waiters.serve(waiter)
                waiter.worker.set_result(waiter.version.idle.popleft())
        wanted: dict[Version, int] = {}
        for waiter in self._waiters.pending():
            version = waiter.version
            wanted[version] = wanted.get(version, 0) + 1
            if version.starting < wanted[version] and self.is_available():
                if not self._has_room(version):
                    return  # whose turn it is has the next room, whatever app the others want
                self._start_worker(version)
        for version in self._versions.values():
            if version.refills and self.is_available():
                self._fill_up(version)

    def _fill_up(self, version: Version) -> None:
        wanted = self._settings.min_idle if version.app.min_idle is None else version.app.min_idle
        minimum = self._place.share.part(wanted)
        while len(version.idle) + version.starting < minimum and len(self._workers) < self._place.room.limit:
            self._start_worker(version)

    def _has_room(self, version: Version) -> bool:
        if len(self._workers) < self._place.room.limit:
            return True
        self._make_way(version)
        return False

    def _make_way(self, version: Version | None) -> None:
        """Have a ready worker, of another version, that nobody waits for give way; its end calls `_schedule` again."""
        self._leaving.hurry()
        ending = any(worker.state in (WorkerState.LEAVING, WorkerState.ENDING) for worker in self._workers.values())
        if not ending:
            spare = next((v for v in self._versions.values() if v is not version and v.idle), None)
            if spare is not None:
                spare.idle.pop().end(self._settings.end_grace)
            else:
                self._end_unused_shared()

    def _end_unused_shared(self) -> None:
        worker = next(filter(None, (version.shared.pop_unused() for version in self._versions.values())), None)
        if worker is not None:
            worker.end(self._settings.end_grace)

    def _start_worker(self, version: Version) -> None:
        worker = self._new_worker(version)
        self._workers[worker.id] = worker
        version.starting += 1
        task = asyncio.get_running_loop().create_task(self._run_start(version, worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_start(self, version: Version, worker: PooledWorker) -> None:
        try:
            await self._start(version, worker)
        except AppStartFailed as error:
            version.starting -= 1
            worker.kill()
            self._start_failed(version, error)
        except asyncio.CancelledError:
            version.starting -= 1
            worker.kill()
            raise
        except (StartInterrupted, OSError) as error:
            version.starting -= 1
            logger.warning("a worker of %s could not be started: %s", version.app.ref, error)
            worker.kill()
            if version.backoff:
                # The second time in a row: whoever waits is told, or this would go on without a pause.
                self._waiters.fail_next(version, none_available(version.app))
            self._rest(version)
        else:
            version.starting -= 1
            version.has_started()
            self._became_idle(worker)
        self._schedule()

    def _became_idle(self, worker: PooledWorker) -> None:
        if worker.exit is not None or self._closing:
            return
        worker.state = WorkerState.IDLE
        worker.idle_since = self._clock.now().monotonic
        self._version(worker.app).idle.append(worker)

    def _start_failed(self, version: Version, error: AppStartFailed) -> None:
        logger.log(version.level_of(error), "%s", error)
        self.meter.deaths[START] += 1
        self._waiters.fail_next(version, error)
        self._rest(version)

    def _rest(self, version: Version) -> None:
        """Keep nothing ready of this version for a while. Whoever asks for it is still served at once."""
        version.backoff = min(max(START_BACKOFF_FIRST, version.backoff * 2), START_BACKOFF_MAX)
        if version.resting is None and not self._closing:
            version.resting = self._clock.call_later(version.backoff, lambda: self._rested(version))

    def _rested(self, version: Version) -> None:
        version.resting = None
        self._schedule()

    def _gone(self, worker: PooledWorker) -> None:
        self._forgotten(worker)
        self.meter.gone(worker)
        self._leaving.remove(worker)
        version = self._version(worker.app)
        version.shared.lost(worker)
        if worker in version.idle:
            version.idle.remove(worker)
        self._removing += 1
        worker.remove().add_done_callback(lambda _: self._removed(worker))

    def _removed(self, worker: PooledWorker) -> None:
        self._removing -= 1
        # Only now is there room for another one: the limit is on all that a worker takes.
        self._workers.pop(worker.id, None)
        if not self._workers:
            self._all_gone.set()
        self._schedule()

    async def _wait_until_gone(self) -> None:
        while self._workers or self._tasks:
            self._all_gone.clear()
            if self._tasks:
                await asyncio.wait(self._tasks)
            for worker in list(self._workers.values()):
                worker.end(self._settings.end_grace)
            if self._workers:
                await self._all_gone.wait()

    def _set_tick(self) -> None:
        interval = max(self._settings.shared_idle / 4, 0.25)
        self._tick = self._clock.call_later(interval, self._on_tick)

    def _on_tick(self) -> None:
        self._set_tick()
        unused_since = self._clock.now().monotonic - self._settings.shared_idle
        for version in self._versions.values():
            for worker in version.shared.pop_idle(unused_since):
                worker.end(self._settings.end_grace)
            if not version.keep_ready and version.last_used < unused_since:
                self._let_go(version)

    def _let_go(self, version: Version) -> None:
        while version.idle:
            version.idle.pop().end(self._settings.end_grace)
        in_use = any(worker.app.ref == version.app.ref for worker in self._workers.values())
        if not in_use:
            task = asyncio.get_running_loop().create_task(version.source.stop())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
