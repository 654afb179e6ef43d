"""The pool of worker processes on this machine."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from gateway.clock import Clock
from gateway.model import AppVersion
from gateway.worker.process import WorkerDirectory
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import Worker, WorkerLease
from gateway.workers.containment.choice import Containments
from gateway.workers.place import Place
from gateway.workers.pooled import PooledWorker
from gateway.workers.process import LocalWorker
from gateway.workers.records import read_app
from gateway.workers.scheduled import ScheduledPool
from gateway.workers.version import Source, Version
from gateway.workers.watch import LimitWatch
from gateway.workers.zygote import Zygote
from gateway.workers.zygotes import Zygotes


class LocalPool(ScheduledPool):
    """Workers as processes of this machine, each forked from the zygote of its app version."""

    def __init__(self, settings: WorkerSettings, directory: Path, clock: Clock, place: Place | None = None) -> None:
        """`directory` holds the workers' own directories. Its path must be short: sockets are in it. With a `place` of
        one process among several the settings are for all of them.
        """
        place = place or Place(directory, settings.max_workers)
        super().__init__(settings, clock, place)
        self._containments = Containments(settings, directory, place.share)
        self._directory = directory
        self._watch = LimitWatch(clock)

    async def start(self, leases: Sequence[WorkerLease] = ()) -> Mapping[str, Worker]:
        await self._place.prepare()
        adopted = await self.adopt(leases)
        await self._place.tidy(self._workers, leases)
        self._set_tick()
        return adopted

    async def _closed(self, kept: Collection[str]) -> None:
        await self._watch.close()
        await self._place.clear(kept)
        if not kept:
            with contextlib.suppress(OSError):
                self._directory.rmdir()

    def _new_source(self, app: AppVersion) -> Source:
        return Zygotes(app, self._new_zygote, self._clock)

    async def _new_zygote(self, app: AppVersion) -> Zygote:
        containment = await self._containments.of(app, self._place.library)
        zygote = Zygote(app, self._place.library, self._clock, self._settings.output_rate, containment)
        await zygote.start(self._settings.start_timeout)
        return zygote

    def _new_worker(self, version: Version) -> PooledWorker:
        worker_id = self._place.new_worker_id()
        directory = WorkerDirectory(self._directory / worker_id)
        worker = LocalWorker(worker_id, version.app, directory, self._clock, self._gone)
        self._watch.add(worker)
        return worker

    async def _start(self, version: Version, worker: PooledWorker) -> None:
        assert isinstance(version.source, Zygotes)
        assert isinstance(worker, LocalWorker)
        zygote = await version.source.zygote()
        await worker.start(zygote, self._settings.start_timeout, self._settings.output_rate)

    async def _adopt(self, lease: WorkerLease) -> PooledWorker | None:
        directory = WorkerDirectory(self._directory / lease.worker_id)
        recorded = read_app(directory.app)
        if recorded is None or recorded[0].ref != lease.app:
            return None
        worker = LocalWorker(lease.worker_id, recorded[0], directory, self._clock, self._gone)
        worker.functions = recorded[1]
        if not await worker.adopt(lease, self._settings.orphan_grace, self._settings.output_rate):
            return None
        await self._place.keep(worker.id)
        self._watch.add(worker)
        return worker

    def _forgotten(self, worker: PooledWorker) -> None:
        assert isinstance(worker, LocalWorker)
        self._watch.remove(worker)
