"""The pool of workers that Ray places."""

import asyncio
import copy
import logging
import ssl
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.model import AppVersion, FunctionDescription
from gateway.ray_settings import RaySettings
from gateway.share import Owning
from gateway.timing import RAY_START
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import Worker, WorkerLease, none_available
from gateway.workers.containment.choice import UNAVAILABLE
from gateway.workers.place import Place
from gateway.workers.pooled import PooledWorker, WorkerState
from gateway.workers.ray.dialling import TlsFiles, key_of
from gateway.workers.ray.link import DriverProcess, Link
from gateway.workers.ray.worker import RayWorker
from gateway.workers.records import app_from, app_text
from gateway.workers.replies import start_error
from gateway.workers.scheduled import ScheduledPool
from gateway.workers.version import Source, Version
from gateway.workers.waiters import Waiter
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")

_ATTEMPTS = 2
"""How often an app is given to a machine to be described, before whoever waits is told that none could do it."""


class RayPool(ScheduledPool):
    """Workers on any machine of a Ray cluster. Ray places them and looks after them; calls go straight to them."""

    anywhere = True

    def __init__(
        self,
        settings: WorkerSettings,
        ray: RaySettings,
        directory: Path,
        clock: Clock,
        *,
        secret: bytes,
        owner: str,
        driver: DriverProcess | None = None,
        owning: Owning | None = None,
    ) -> None:
        """Gateways with the same `secret` reach each other's workers, and `owning` says by their ids whose they are.
        `owner` names this gateway for all time: what it has left behind, and no record knows, is its own to end. Raises
        OSError when the files of TLS cannot be used.
        """
        super().__init__(settings, clock, Place(directory, settings.max_workers, owning=owning))
        self._secret = secret
        self._shared = False
        self._owner = owner
        self._files = _files_of(ray)
        self._tls: ssl.SSLContext | None = None if self._files is None else self._files.context(server=False)
        self._link = Link(ray, self._told, self._changed, driver)

    def is_available(self) -> bool:
        return self._link.available

    def use_secret(self, secret: bytes) -> None:
        self._secret, self._shared = secret, True

    async def start(self, leases: Sequence[WorkerLease] = ()) -> Mapping[str, Worker]:
        self._link.open()
        if not await self._link.reached(RAY_START):
            raise self._link.unavailable()
        adopted = await self.adopt(leases)
        keep = [lease.worker_id for lease in leases]
        # One that is leased may be in the hands of another gateway by now. If it is in nobody's, it ends by itself.
        order = {"do": "sweep", "owner": self._owner, "keep": keep, "leased": not self._shared}
        swept: Mapping[str, str] = await self._link.ask(order)
        for worker_id, session_id in swept.items():
            if session_id:
                labels = {"session_id": session_id, "worker_id": worker_id}
                logger.error("session %s is not on record: its worker %s is ended", session_id, worker_id, extra=labels)
        self._place.strays = len(swept)
        self._set_tick()
        return adopted

    async def adopt(self, leases: Sequence[WorkerLease]) -> Mapping[str, Worker]:
        if leases and not self._link.available:
            raise self._link.unavailable()
        return await super().adopt(leases)

    async def obtain(self, app: AppVersion, timeout: float, owner: str = "") -> PooledWorker:
        if not self._link.available and not self._closing and not self._version(app).idle:
            raise self._link.unavailable()
        return await super().obtain(app, timeout, owner)

    def order_of(self, app: AppVersion, worker_id: str, *, describe: bool = False) -> Mapping[str, Any]:
        """Return what the driver is told of a worker that is to be. Raises AppStartFailed."""
        if app.isolation in ("user", "sandbox"):
            message = f"isolation {app.isolation} is not to be had on Ray, whose workers run as Ray's own user does"
            raise start_error(app.ref, pb.Failure(type=UNAVAILABLE, message=message))
        spec = {
            "id": worker_id,
            "app": app_text(app),
            "owner": self._owner,
            "key": key_of(self._secret, worker_id).hex(),
            "start_timeout": self._settings.start_timeout,
            "output_rate": self._settings.output_rate,
            "environment": dict(app.ray.env),
            "tls": None if self._files is None else self._files.paths,
            "describe": describe,
        }
        upload = str(app.directory) if app.ray.upload else None
        return {"spec": spec, "options": _options_of(app), "upload": upload}

    async def described(self, app: AppVersion) -> Sequence[FunctionDescription]:
        """Return the functions of an app. Raises AppStartFailed, NoWorkerAvailable and PoolUnavailable."""
        for _ in range(_ATTEMPTS):
            answer = await self._description(app)
            if "functions" in answer:
                return [FunctionDescription(**function) for function in answer["functions"]]
            if "failed" in answer:
                raise start_error(app.ref, pb.Failure(**answer["failed"]))
            # The machine, or Ray: a node that died with the actor says nothing against the app.
            logger.warning("%s could not be described: %s", app.ref, next(iter(answer.values()), "no reason is known"))
        raise none_available(app)

    async def _description(self, app: AppVersion) -> Mapping[str, Any]:
        worker_id = self._place.new_worker_id()
        try:
            order = self.order_of(app, worker_id, describe=True)
            answer: Mapping[str, Any] = await self._link.ask({"do": "describe", "id": worker_id, **order})
        except asyncio.CancelledError:
            self._link.say({"do": "stop", "id": worker_id, "epoch": 0}, surely=True)
            raise
        return answer

    async def _closed(self, kept: Collection[str]) -> None:
        await self._link.close()

    def _new_source(self, app: AppVersion) -> Source:
        return Description(app, self, self._clock)

    def _new_worker(self, version: Version) -> PooledWorker:
        return self._worker(self._place.new_worker_id(), version.app)

    def _worker(self, worker_id: str, app: AppVersion) -> RayWorker:
        key = key_of(self._secret, worker_id)
        return RayWorker(worker_id, app, self._clock, self._gone, link=self._link, key=key, tls=self._tls)

    async def _start(self, version: Version, worker: PooledWorker) -> None:
        assert isinstance(worker, RayWorker)
        await worker.start(self.order_of(version.app, worker.id), self._settings.start_timeout)

    async def _adopt(self, lease: WorkerLease) -> PooledWorker | None:
        order = {"do": "find", "id": lease.worker_id, "session": lease.session_id, "epoch": lease.epoch}
        found = await self._link.ask(order)
        if found is None or "error" in found:
            return None
        app, functions = app_from(found["app"])
        if app.ref != lease.app:
            return None
        worker = self._worker(lease.worker_id, app)
        worker.functions = functions
        self._workers[worker.id] = worker  # news of its actor may come at once
        if not await worker.adopt(lease, self._settings.orphan_grace, found["address"]):
            self._workers.pop(worker.id, None)
            return None
        return worker

    def _told(self, what: Mapping[str, Any]) -> None:
        worker = self._workers.get(what["id"])
        if worker is not None:
            assert isinstance(worker, RayWorker)
            worker.told(what)

    def _changed(self) -> None:
        """Ray has come or gone."""
        if self._link.available:
            for worker in self._workers.values():
                self._look_after(worker)
        else:
            for waiter in self._waiters.pending():
                self._waiters.fail_next(waiter.version, self._link.unavailable())
            for worker in list(self._workers.values()):
                if worker.state is WorkerState.STARTING:
                    assert isinstance(worker, RayWorker)
                    worker.interrupt(self._link.why)
        self._schedule()
        self.on_change()

    def _look_after(self, worker: PooledWorker) -> None:
        """Have a new driver tell of a worker that an earlier one had."""
        order = {"do": "find", "id": worker.id, "session": worker.session_id, "epoch": worker.epoch}
        self._link.say(order)

    def _give_up(self, waiter: Waiter) -> None:
        super()._give_up(waiter)
        self._stop_surplus(waiter.version)

    def _put_back(self, waiter: Waiter) -> None:
        super()._put_back(waiter)
        self._stop_surplus(waiter.version)

    def _stop_surplus(self, version: Version) -> None:
        """Have Ray look no longer for places that nobody waits for any more."""
        starting = [
            worker
            for worker in self._workers.values()
            if isinstance(worker, RayWorker)
            and worker.state is WorkerState.STARTING
            and worker.app.ref == version.app.ref
            and worker.exit is None
        ]
        wanted = sum(waiter.version is version for waiter in self._waiters.pending())
        if version.refills:
            ready = self._settings.min_idle if version.app.min_idle is None else version.app.min_idle
            wanted += max(0, ready - len(version.idle))
        unplaced = [worker for worker in starting if not worker.placed]
        for worker in unplaced[: max(0, len(starting) - wanted)]:
            worker.kill()


class Description(Source):
    """The functions of a version, asked for once."""

    def __init__(self, app: AppVersion, pool: RayPool, clock: Clock) -> None:
        self._app = app
        self._pool = pool
        self._clock = clock
        self._asking: asyncio.Task[Sequence[FunctionDescription]] | None = None

    async def functions(self, timeout: float) -> Sequence[FunctionDescription] | None:
        if self._asking is None or (self._asking.done() and (self._asking.cancelled() or self._asking.exception())):
            self._asking = asyncio.get_running_loop().create_task(self._pool.described(self._app))
        over = asyncio.Event()
        timer = self._clock.call_later(timeout, over.set)
        waiting = asyncio.ensure_future(over.wait())
        try:
            await asyncio.wait((self._asking, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not self._asking.done():
                return None
            error = self._asking.exception()
            if error is not None:
                # All who wait share the task. Each error is completed with the call that it answers, so none is shared.
                raise copy.copy(error) from None
            return self._asking.result()
        finally:
            timer.cancel()
            waiting.cancel()

    async def stop(self) -> None:
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking])


def _files_of(ray: RaySettings) -> TlsFiles | None:
    if ray.tls_cert is None or ray.tls_key is None or ray.tls_ca is None:
        return None
    return TlsFiles(ray.tls_cert.absolute(), ray.tls_key.absolute(), ray.tls_ca.absolute())


_A_TRACE = 0.0001
"""Of a processor, the least that Ray counts. An actor that asks for none is placed on nodes without processors, too,
such as those of gateways (`ray start --num-cpus 0`), and would go with them.
"""


def _options_of(app: AppVersion) -> Mapping[str, Any]:
    """Return what Ray is told of an actor."""
    placement = app.ray
    options: dict[str, Any] = {"num_cpus": max(placement.cpus, _A_TRACE), "num_gpus": placement.gpus}
    if placement.memory:
        options["memory"] = placement.memory
    if placement.resources:
        options["resources"] = dict(placement.resources)
    if placement.pip:
        options["runtime_env"] = {"pip": list(placement.pip)}
    return options
