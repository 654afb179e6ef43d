"""A worker pool without processes: every promise of `gateway.workers.base` that needs no operating system.

For tests of what stands above a pool, on virtual time: nothing in it waits for anything but the event loop's next turn.
"""

import asyncio
import inspect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.errors import (
    AppStartFailed,
    GatewayError,
    WorkerExit,
    WorkerLeased,
    WorkerNotFound,
)
from gateway.model import AppRef, AppVersion, FunctionDescription
from gateway.testing.memory_machine import MemoryMachine, functions_of
from gateway.testing.memory_worker import MemoryWorker
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import Worker, WorkerLease, WorkerPool, none_available
from gateway.workers.fair_queue import FairQueue
from gateway.workers.replies import start_error
from sessiongateway.worker.v1 import worker_pb2 as pb


@dataclass(eq=False)
class _Version:
    """What the pool has of one app version."""

    app: AppVersion
    idle: deque[MemoryWorker] = field(default_factory=deque)
    shared: list[MemoryWorker] = field(default_factory=list)
    callers: FairQueue["_Caller"] = field(default_factory=FairQueue)
    """Those who wait for a place on a shared worker."""
    obtaining: set[asyncio.Task[None]] = field(default_factory=set)
    """Shared workers that are being had, for as long as someone waits for a place."""
    keep_ready: bool = False


@dataclass(eq=False)
class _Caller:
    owner: str
    place: asyncio.Future[MemoryWorker]


@dataclass(eq=False)
class _Waiter:
    owner: str
    version: _Version
    worker: asyncio.Future[MemoryWorker]


class MemoryPool(WorkerPool):
    """Workers on a MemoryMachine. `crash` is what `close` is not: the end of a gateway that did not see it coming."""

    def __init__(
        self, settings: WorkerSettings, machine: MemoryMachine, clock: Clock, *, anywhere: bool = False
    ) -> None:
        """With `anywhere` other pools have workers on the machine too, and leave theirs to one another."""
        self.anywhere = anywhere
        self._settings = settings
        self._machine = machine
        self._clock = clock
        self._versions: dict[AppRef, _Version] = {}
        self._workers: dict[str, MemoryWorker] = {}
        self._waiters: FairQueue[_Waiter] = FairQueue()
        self._all_gone = asyncio.Event()
        self._closing = False

    async def start(self, leases: Sequence[WorkerLease] = ()) -> Mapping[str, Worker]:
        adopted = await self.adopt(leases)
        for process in [process for id, process in self._machine.processes.items() if id not in self._workers]:
            if not self.anywhere:
                process.stop(WorkerExit(signal=9))
        return adopted

    async def adopt(self, leases: Sequence[WorkerLease]) -> Mapping[str, Worker]:
        adopted: dict[str, Worker] = {}
        for lease in leases:
            process = self._machine.processes.get(lease.worker_id)
            if process is None or process.session_id != lease.session_id or process.epoch > lease.epoch:
                continue
            process.epoch, process.outlive = lease.epoch, lease.timeout + self._settings.orphan_grace
            worker = self._workers[process.id] = MemoryWorker(process, self._gone)
            asyncio.get_running_loop().call_soon(worker.say_standing)
            adopted[lease.session_id] = worker
        return adopted

    async def close(self, *, keep_leased: bool = False) -> None:
        self._turn_away()
        for worker in list(self._workers.values()):
            if keep_leased and worker.process.session_id and not worker.ending:
                worker.let_go()
                del self._workers[worker.id]
            else:
                self.end(worker)
        for version in self._versions.values():
            _cancel(version.obtaining)
        while self._workers:
            self._all_gone.clear()
            await self._all_gone.wait()

    def detach(self, worker: Worker) -> None:
        assert isinstance(worker, MemoryWorker)
        if self._workers.pop(worker.id, None) is not None:
            worker.let_go()
        self._schedule()

    def crash(self) -> None:
        """Let go of everything without a word."""
        self._closing = True
        for worker in self._workers.values():
            worker.let_go()

    def keep_ready(self, apps: Sequence[AppVersion]) -> None:
        wanted = {app.ref for app in apps}
        for version in self._versions.values():
            version.keep_ready = version.app.ref in wanted
            while version.idle and not version.keep_ready:
                self.end(version.idle.pop())
        for app in apps:
            self._version(app).keep_ready = True
        self._schedule()

    async def describe(self, app: AppVersion, *, timeout: float) -> Sequence[FunctionDescription]:
        try:
            instance = self._machine.make(app.ref)
        except Exception as error:
            raise _start_failed(app, error) from error
        described = {name: inspect.getdoc(getattr(instance, name)) or "" for name in functions_of(instance)}
        return [FunctionDescription(name, text, '{"type": "object"}', "{}") for name, text in described.items()]

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
        worker = self._take(app, worker_id) if worker_id else await self._obtain(self._version(app), timeout, owner)
        process = worker.process
        process.session_id, process.epoch = session_id, epoch
        process.outlive = outlive + self._settings.orphan_grace if outlive else 0.0
        self._schedule()
        return worker

    async def acquire_shared(self, app: AppVersion, *, owner: str = "", timeout: float) -> Worker:
        version = self._version(app)
        place: asyncio.Future[MemoryWorker] = asyncio.get_running_loop().create_future()
        caller = _Caller(owner, place)
        version.callers.add(caller)
        self._serve_shared(version)
        timer = self._clock.call_later(timeout, lambda: _refuse(place, none_available(app)))
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release_shared(place.result())
            raise
        finally:
            timer.cancel()
            if caller in version.callers:
                version.callers.remove(caller)
            if not version.callers:
                _cancel(version.obtaining)

    def release_shared(self, worker: Worker) -> None:
        assert isinstance(worker, MemoryWorker)
        worker.shared_calls -= 1
        self._serve_shared(self._version(worker.app))
        self._schedule()

    def end(self, worker: Worker, reason: str = "", *, in_turn: bool = False) -> None:
        assert isinstance(worker, MemoryWorker)
        if not worker.ending and worker.exit is None and not worker.fenced:
            worker.ending = True
            asyncio.get_running_loop().call_soon(worker.process.stop, WorkerExit(exit_code=0))

    def holder(self, worker_id: str) -> str | None:
        worker = self._workers.get(worker_id)
        return None if worker is None else worker.process.session_id

    def idle_workers(self, app: AppVersion) -> Sequence[str]:
        return [worker.id for worker in self._version(app).idle]

    async def _obtain(self, version: _Version, timeout: float, owner: str = "") -> MemoryWorker:
        if self._closing:
            raise none_available(version.app)
        waiter = _Waiter(owner, version, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        self._schedule()
        timer = self._clock.call_later(timeout, lambda: _refuse(waiter.worker, none_available(version.app)))
        try:
            return await waiter.worker
        except asyncio.CancelledError:
            if waiter.worker.done() and not waiter.worker.cancelled() and waiter.worker.exception() is None:
                self._put_back(waiter.worker.result())
            raise
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _take(self, app: AppVersion, worker_id: str) -> MemoryWorker:
        worker = self._workers.get(worker_id)
        if worker is not None and worker.process.session_id and not worker.ending:
            raise WorkerLeased.of(worker_id)
        if worker is None or worker not in self._version(app).idle:
            raise WorkerNotFound.of(worker_id)
        self._version(app).idle.remove(worker)
        return worker

    def _put_back(self, worker: MemoryWorker) -> None:
        if worker.exit is None and not worker.ending:
            self._version(worker.app).idle.append(worker)
        self._schedule()

    def _turn_away(self) -> None:
        self._closing = True
        for waiter in self._waiters:
            _refuse(waiter.worker, none_available(waiter.version.app))
        for version in self._versions.values():
            for caller in version.callers:
                _refuse(caller.place, none_available(version.app))

    def _version(self, app: AppVersion) -> _Version:
        return self._versions.setdefault(app.ref, _Version(app))

    def _schedule(self) -> None:
        """Serve those who wait, in their order; then fill up what is to be kept ready."""
        if self._closing:
            return
        for waiter in [waiter for waiter in self._waiters if not waiter.worker.done()]:
            if not waiter.version.idle:
                if not self._has_room(waiter.version):
                    return
                try:
                    waiter.version.idle.append(self._started(waiter.version.app))
                except Exception as error:  # noqa: BLE001  # an app raises what it likes
                    _refuse(waiter.worker, _start_failed(waiter.version.app, error))
                    continue
            self._waiters.serve(waiter)
            waiter.worker.set_result(waiter.version.idle.popleft())
        for version in self._versions.values():
            minimum = self._settings.min_idle if version.app.min_idle is None else version.app.min_idle
            while version.keep_ready and len(version.idle) < minimum and self._free > 0:
                version.idle.append(self._started(version.app))

    @property
    def _free(self) -> int:
        return self._settings.max_workers - len(self._workers)

    def _started(self, app: AppVersion) -> MemoryWorker:
        worker = MemoryWorker(self._machine.start(app), self._gone)
        self._workers[worker.id] = worker
        return worker

    def _has_room(self, wanting: _Version) -> bool:
        """Whether there is room for one more. If not, a worker that nobody uses gives way, and this is asked again."""
        if self._free > 0:
            return True
        others = [version for version in self._versions.values() if version is not wanting and version.idle]
        unused = [w for v in self._versions.values() if not v.callers for w in v.shared if w.shared_calls == 0]
        if any(worker.ending for worker in self._workers.values()):
            return False
        if others:
            self.end(others[0].idle.pop())
        elif unused:
            self._version(unused[0].app).shared.remove(unused[0])
            self.end(unused[0])
        return False

    def _serve_shared(self, version: _Version) -> None:
        for caller in [caller for caller in version.callers if not caller.place.done()]:
            free = [w for w in version.shared if w.exit is None and w.shared_calls < version.app.concurrency]
            if not free:
                break
            worker = min(free, key=lambda worker: worker.shared_calls)
            worker.shared_calls += 1
            version.callers.serve(caller)
            caller.place.set_result(worker)
        waiting = [caller for caller in version.callers if not caller.place.done()]
        room = self._settings.max_shared - len(version.shared) - len(version.obtaining)
        for _ in range(min(room, -(-len(waiting) // version.app.concurrency) - len(version.obtaining))):
            task = asyncio.get_running_loop().create_task(self._obtain_shared(version))
            version.obtaining.add(task)
            task.add_done_callback(lambda task: self._obtained(version, task))

    def _obtained(self, version: _Version, task: asyncio.Task[None]) -> None:
        version.obtaining.discard(task)
        if not self._closing:
            self._serve_shared(version)
            self._schedule()

    async def _obtain_shared(self, version: _Version) -> None:
        try:
            # As long as it takes: each caller has a limit of its own.
            version.shared.append(await self._obtain(version, math.inf))
        except GatewayError as error:
            waiting = [caller for caller in version.callers if not caller.place.done()]
            if waiting:
                _refuse(waiting[0].place, error)

    def _gone(self, worker: MemoryWorker) -> None:
        self._workers.pop(worker.id, None)
        version = self._version(worker.app)
        if worker in version.idle:
            version.idle.remove(worker)
        if worker in version.shared:
            version.shared.remove(worker)
            self._serve_shared(version)
        if not self._workers:
            self._all_gone.set()
        self._schedule()


def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


def _refuse(waiting: asyncio.Future[MemoryWorker], error: GatewayError) -> None:
    if not waiting.done():
        waiting.set_exception(error)


def _start_failed(app: AppVersion, error: Exception) -> AppStartFailed:
    return start_error(app.ref, pb.Failure(type=type(error).__name__, message=str(error)))
