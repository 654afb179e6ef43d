"""Beside one worker, on its machine: its zygote, its process, its limits, its output, and what is to be cleared away.

Runs in the actor of the worker, on an event loop and a thread of its own, and knows nothing of Ray.
"""

import asyncio
import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import gateway
import sessiongateway
from gateway.clock import SystemClock
from gateway.errors import AppStartFailed, WorkerExit
from gateway.worker.family import end_families, mark_of
from gateway.worker.process import WorkerDirectory, start_time
from gateway.workers.containment.base import Containment
from gateway.workers.pooled import StartInterrupted
from gateway.workers.ray.bringing import unpack
from gateway.workers.ray.dialling import TlsFiles, purpose_of
from gateway.workers.ray.relay import Relay
from gateway.workers.ray.sharing import SharedZygote, clear_away
from gateway.workers.records import app_from, app_text
from gateway.workers.removal import remove_tree
from gateway.workers.supervised import WorkerProcess
from gateway.workers.watch import LimitWatch
from gateway.workers.zygote import Zygote
from sessiongateway.worker.v1 import worker_pb2 as pb

T = TypeVar("T")

_LOOPBACK = "127.0.0.1"
_BROUGHT = "app-directory"
"""Where an app is whose directory was brought here: beside the packages, by a name that is none of a package."""

_KEEPER = "supervisor"
"""Names the process that looks after a worker's directory, as WorkerDirectory.pid names the worker's."""

DEVICES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ASCEND_RT_VISIBLE_DEVICES",
    "TPU_VISIBLE_CHIPS",
)
"""By these variables Ray says which devices are a worker's own."""

logger = logging.getLogger("gateway.workers")


class Supervision:
    """One worker from its start to the last file that it leaves."""

    def __init__(self, spec: Mapping[str, Any], host: str, node: str = "") -> None:
        """`spec` is as `gateway.workers.ray.pool` makes it; `host` is this machine's address for others, and `node` its
        name in the cluster.
        """
        self._node = node
        self._spec = spec
        self._host = host
        self._id: str = spec["id"]
        self._app, _ = app_from(spec["app"])
        self._clock = SystemClock()
        self._address: tuple[str, int] | None = None
        self._session, self._epoch = "", 0
        self._base = Path(tempfile.gettempdir()) / f"sgw-ray-{os.getuid()}"
        self._directory = WorkerDirectory(self._base / self._id)
        self._library = self._base / f"lib.{self._id}"
        self._zygote: Zygote | None = None
        self._process: WorkerProcess | None = None
        self._watch: LimitWatch | None = None
        self._relay: Relay | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._preparing: asyncio.Future[None] | None = None
        self._functions: list[str] = []
        self._loop = asyncio.SelectorEventLoop()
        self._ended = asyncio.Event()
        self._cleared = asyncio.Event()
        self._exit = WorkerExit()
        self._clearing: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="supervision", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End its loop and thread, when nothing more is asked of it. The end of the process does as much."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], patience: float | None = None) -> T:
        """Have something of this done on its own loop, from another thread, which waits.

        Raises TimeoutError after `patience` seconds; the work is then given up.
        """
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return doing.result(patience)
        finally:
            doing.cancel()

    async def start(self) -> Mapping[str, Any]:
        """Import the app and make the worker's process, which waits for a gateway before it goes on.

        Returns its address and its functions; or `failed`, when the app is to blame; or `interrupted`.
        """
        if self._ended.is_set():
            return {"interrupted": "given up"}
        self._starting = asyncio.current_task()
        try:
            return await self._start()
        except AppStartFailed as error:
            failure = error.failure
            answer: Mapping[str, Any] = {"failed": {} if failure is None else dataclasses.asdict(failure)}
        except (StartInterrupted, OSError) as error:
            answer = {"interrupted": f"{type(error).__name__}: {error}"}
        except asyncio.CancelledError:  # by `stop`
            answer = {"interrupted": "given up"}
        finally:
            self._starting = None
        self._end(WorkerExit())
        return answer

    async def describe(self) -> Mapping[str, Any]:
        """Import the app, and return its functions as `start` does; no worker is made."""
        answer = await self.start()
        self._end(WorkerExit())
        await self._cleared.wait()
        return answer

    def about(self, session_id: str, epoch: int) -> Mapping[str, Any] | None:
        """Return what a gateway must know to take the worker over; None if it cannot be had, or not any more.

        From then on only those are obeyed who know that epoch, if the session is the worker's.
        """
        if self._address is None or self._ended.is_set():
            return None
        if session_id and session_id == self._session:
            self._epoch = max(self._epoch, epoch)
        assert self._process is not None
        return {
            "address": self._address,
            "app": app_text(self._process.app, self._functions),
            "owner": self._spec["owner"],
            "session": self._session,
        }

    def leased(self, session_id: str, epoch: int) -> None:
        """Know whose the worker is."""
        if epoch >= self._epoch:
            self._session, self._epoch = session_id, epoch
            if self._process is not None:
                self._process.belongs_to(session_id)

    def signal(self, number: int, epoch: int) -> None:
        """Send the worker a signal, if whoever wants that still has it."""
        if self._process is not None and epoch >= self._epoch:
            self._process.signal(signal.Signals(number))

    def exceed(self, limit: str, epoch: int) -> None:
        """Kill it for a limit, if whoever wants that still has it."""
        if self._process is not None and epoch >= self._epoch:
            self._process.exceed(limit, self._session)

    def stop(self, epoch: int) -> None:
        """Kill it, started or not, if whoever wants that still has it."""
        if epoch < self._epoch:
            return
        if self._process is not None:
            if self._process.exit is None:
                self._process.kill()
        elif self._starting is not None:
            self._starting.cancel()  # and what there is of it by then is cleared away when it has given up
        else:
            self._end(WorkerExit())

    async def ended(self) -> Mapping[str, Any]:
        """Wait for the end of the worker's process, and return how that was."""
        await self._ended.wait()
        return dataclasses.asdict(self._exit)

    async def cleared(self) -> None:
        """Wait until nothing is left of the worker."""
        await self._cleared.wait()

    async def _start(self) -> Mapping[str, Any]:
        rate: int = self._spec["output_rate"]
        self._preparing = asyncio.ensure_future(asyncio.to_thread(self._prepare))
        await asyncio.shield(self._preparing)
        self._zygote = self._new_zygote(rate)
        await self._zygote.start(self._spec["start_timeout"])
        self._functions = [function.name for function in self._zygote.functions]
        functions = [dataclasses.asdict(function) for function in self._zygote.functions]
        if self._spec.get("describe"):
            return {"functions": functions}
        self._watch = LimitWatch(self._clock)
        self._process = WorkerProcess(self._id, self._app, self._directory, self._clock, self._end)
        self._watch.add(self._process)
        files = self._spec["tls"]
        door = pb.Door(
            host=_LOOPBACK if files else self._host,
            key=bytes.fromhex(self._spec["key"]),
            purpose=purpose_of(self._id),
        )
        try:
            port = await self._process.start(self._zygote, rate, door)
            if files:
                paths = {name: Path(path) for name, path in files.items()}
                self._relay = Relay(TlsFiles(**paths), (_LOOPBACK, port))
                port = await self._relay.open(self._host)
        except BaseException:
            self._process.kill()
            raise
        self._address = (self._host, port)
        return {"address": self._address, "functions": functions}

    def _new_zygote(self, rate: int) -> Zygote:
        environment = {name: os.environ[name] for name in DEVICES if name in os.environ}
        environment |= self._spec["environment"]
        contained = Containment(self._app.start_method)
        if self._app.start_method == "spawn" or "brought" in self._spec:
            # There is nothing to share; or files that go with this actor.
            return Zygote(self._app, self._library, self._clock, rate, contained, environment=environment)
        return SharedZygote(
            self._app, self._base, self._clock, rate, contained, environment=environment, node=self._node
        )

    def _prepare(self) -> None:
        self._base.mkdir(mode=0o700, exist_ok=True)
        if self._base.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._base} belongs to another user")
        _sweep(self._base)
        clear_away(self._base)
        self._library.mkdir()
        (self._library / _KEEPER).write_text(f"{os.getpid()} {start_time(os.getpid())}")
        for package in (gateway, sessiongateway):
            source = Path(package.__path__[0])
            (self._library / source.name).symlink_to(source)
        if "brought" in self._spec:
            directory = self._library / _BROUGHT
            unpack(self._spec["brought"], directory)
            self._app = dataclasses.replace(self._app, directory=directory)

    def _end(self, exit_: WorkerExit) -> None:
        if self._ended.is_set():
            return
        self._exit = exit_
        self._ended.set()
        self._clearing = asyncio.get_running_loop().create_task(self._clear())

    async def _clear(self) -> None:
        try:
            if self._preparing is not None:
                await asyncio.wait((self._preparing,))  # a thread goes on when nobody waits for it any more
            if self._relay is not None:
                await self._relay.close()
            if self._watch is not None:
                await self._watch.close()
            if self._zygote is not None:
                with contextlib.suppress(AppStartFailed):
                    await self._zygote.stop()
            if self._process is not None:
                await asyncio.to_thread(self._process.remove)
            await asyncio.to_thread(shutil.rmtree, self._library, ignore_errors=True)
        except Exception:
            logger.exception("what worker %s has left cannot be cleared away", self._id)
        finally:
            self._cleared.set()


def _sweep(base: Path) -> None:
    """Clear away what workers have left whose supervisors were killed."""
    for library in base.glob("lib.*"):
        with contextlib.suppress(OSError, ValueError):
            pid, started = (library / _KEEPER).read_text().split()
            with contextlib.suppress(OSError):
                if start_time(int(pid)) == int(started):
                    continue
            worker_id = library.name.removeprefix("lib.")
            end_families({mark_of(worker_id)})
            remove_tree(base / worker_id)
            remove_tree(library)


def tell_to_standard_output() -> None:
    """Have what apps print, and what is said of them, written where Ray looks for the log of an actor."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Labelled())
    for name in ("gateway.output", "gateway.workers"):
        log = logging.getLogger(name)
        log.handlers[:] = [handler]
        log.setLevel(logging.INFO)
        log.propagate = False


class _Labelled(logging.Formatter):
    """Lines with whose they are in front."""

    def format(self, record: logging.LogRecord) -> str:
        labels = (getattr(record, name, "") for name in ("app", "worker_id", "session_id", "call_id", "trace_id"))
        return f"[{' '.join(filter(None, labels))}] {super().format(record)}"
