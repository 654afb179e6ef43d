"""A worker as its pool has it, wherever its process is: its connection, its lease, and how it is ended."""

import asyncio
import enum
import logging
import signal
from abc import abstractmethod
from collections.abc import Callable

from gateway.clock import Clock, Timer
from gateway.errors import AppStartFailed, WorkerExit
from gateway.model import AppVersion
from gateway.timing import TERM_GRACE
from gateway.worker.process import CANNOT_ENTER_EXIT
from gateway.workers.base import PendingCall, Standing, Worker, WorkerCall, WorkerLease
from gateway.workers.call_limit import CallLimit
from gateway.workers.connection import WorkerConnection
from gateway.workers.replies import start_error, start_exit_error
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")


class StartInterrupted(Exception):
    """A worker could not be started, and its app is not to blame."""


class WorkerState(enum.Enum):
    """What a worker is there for."""

    STARTING = "starting"
    IDLE = "idle"
    LEASED = "leased"
    SHARED = "shared"
    DETACHED = "detached"
    """Left to another gateway."""
    LEAVING = "leaving"
    """Nobody's any more; it will be ended."""
    ENDING = "ending"
    GONE = "gone"


class PooledWorker(Worker):
    """What is the same for the workers of all pools. Made by its pool, which hears of its end through `on_gone`."""

    def __init__(
        self, worker_id: str, app: AppVersion, clock: Clock, on_gone: Callable[["PooledWorker"], object]
    ) -> None:
        self.id = worker_id
        self.app = app
        self.state = WorkerState.STARTING
        self.session_id = ""
        self.epoch = 0
        self.idle_since = clock.now().monotonic
        self.calls = 0
        """Calls in flight, for a shared worker."""
        self.died = False
        """It ended although nobody had asked it to."""
        self._call_limit = CallLimit.of(app, clock, lambda call_id: self.exceed("call", call_id))
        self._clock = clock
        self._on_gone = on_gone
        self._exit: WorkerExit | None = None
        self._lost_callbacks: list[Callable[[WorkerExit], object]] = []
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = WorkerConnection(
            worker_id, app.ref, on_ready=self._on_ready, on_failed=self._on_failed, on_broken=self._on_broken
        )
        self._timer: Timer | None = None
        self._adopting: WorkerLease | None = None
        self._standing: Standing | None = None
        self._standing_callbacks: list[Callable[[Standing], object]] = []

    @property
    def exit(self) -> WorkerExit | None:
        return self._exit

    def when_lost(self, callback: Callable[[WorkerExit], object]) -> None:
        if self._exit is not None:
            callback(self._exit)
        else:
            self._lost_callbacks.append(callback)

    def when_standing(self, callback: Callable[[Standing], object]) -> None:
        if self._standing is not None:
            callback(self._standing)
        else:
            self._standing_callbacks.append(callback)

    def call(self, call: WorkerCall) -> PendingCall:
        sent = self._connection.start(call)
        if self._call_limit is not None:
            self._call_limit.bound(sent)
        return sent

    def bind(self, session_id: str, epoch: int, outlive: float) -> None:
        """Lease the worker to a session, for the rest of its life."""
        self.state = WorkerState.LEASED
        self.session_id, self.epoch = session_id, epoch
        self._connection.send(pb.ToWorker(lease=pb.Lease(session_id=session_id, epoch=epoch, outlive=outlive)))

    def detach(self) -> None:
        """Let go of the process and leave it running."""
        self.state = WorkerState.DETACHED
        self._lost_callbacks = []
        self._connection.abort()
        self._let_go()

    def leave(self) -> None:
        """Be ended later. That it then ends is no loss."""
        self.state = WorkerState.LEAVING
        self._lost_callbacks.clear()

    def end(self, grace: float, reason: str = "") -> None:
        """Ask it to leave, then make it. Returns at once."""
        if self.state in (WorkerState.ENDING, WorkerState.GONE, WorkerState.DETACHED):
            return
        if self.state is WorkerState.STARTING:
            self.kill()  # nobody has used it: there is nothing to unload
            return
        self.state = WorkerState.ENDING
        self._lost_callbacks.clear()
        self._connection.send(pb.ToWorker(shutdown=pb.Shutdown(reason=reason)))
        self._timer = self._clock.call_later(grace, self._terminate)

    @abstractmethod
    def kill(self) -> None:
        """End the process with SIGKILL. Its exit is seen as any other."""

    @abstractmethod
    def exceed(self, limit: str, call_id: str = "") -> None:
        """Kill it and all that it has started, for its app, or that call, has gone beyond that limit."""

    @abstractmethod
    def remove(self) -> asyncio.Future[None]:
        """Have all deleted that the worker left, and return what is done when it is. Called once it is gone."""

    @abstractmethod
    def _signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it is still there."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close all that is held of the process."""

    @abstractmethod
    def _on_broken(self) -> None:
        """The connection is no more, whoever closed it."""

    def _terminate(self) -> None:
        logger.warning("worker %s outlasts its grace: SIGTERM", self.id, extra={"session_id": self.session_id})
        self._signal(signal.SIGTERM)
        self._timer = self._clock.call_later(TERM_GRACE, self.kill)

    def _adopt_on(self, lease: WorkerLease) -> None:
        """Be the worker of that lease, once it says so itself. To be called before there is a connection: the worker
        speaks first.
        """
        self._adopting = lease
        self.session_id, self.epoch = lease.session_id, lease.epoch
        self.state = WorkerState.LEASED

    def _claim(self, lease: WorkerLease, grace: float) -> None:
        """Fence off whoever had the worker before. To be called as soon as there is a connection: calls may follow
        before the worker, whose app may block its loop, has said anything.
        """
        outlive = lease.timeout + grace
        again = pb.Lease(session_id=lease.session_id, epoch=lease.epoch, outlive=outlive, again=True)
        self._connection.send(pb.ToWorker(lease=again))

    def _bound_unheard(self) -> None:
        if self._call_limit is not None and not self._ready.done():
            self._call_limit.bound_unheard(self._ready)

    def _on_ready(self, ready: pb.Ready) -> None:
        if self._adopting is not None:
            self._on_standing(self._adopting, ready)
        else:
            self._resolve_ready()

    def _on_standing(self, lease: WorkerLease, ready: pb.Ready) -> None:
        if ready.session_id != lease.session_id or ready.epoch > lease.epoch:
            # It is somebody else's: let go of it, and leave it alone.
            logger.error("worker %s is not the one of the record", self.id, extra={"session_id": lease.session_id})
            callbacks = self._lost_callbacks
            self.detach()
            for lost in callbacks:
                lost(WorkerExit())
            self._resolve_ready()
            return
        running = [self._connection.resume(call_id) for call_id in ready.running]
        if self._call_limit is not None:
            for call in running:
                self._call_limit.bound(call)
        last_end = ready.last_end + self._connection.ahead if ready.last_end else None
        self._standing = Standing(running, ready.started, last_end)
        self._resolve_ready()
        for callback in self._standing_callbacks:
            callback(self._standing)

    def _resolve_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_failed(self, failure: pb.Failure) -> None:
        self._fail_start(start_error(self.app.ref, failure))

    def _fail_start(self, error: AppStartFailed | OSError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()

    def _exited(self, exit_: WorkerExit) -> None:
        """The process has ended. To be called once."""
        self._exit = exit_
        if self._timer is not None:
            self._timer.cancel()
        self._connection.worker_exited(exit_)
        if exit_.exit_code == CANNOT_ENTER_EXIT:
            self._fail_start(OSError("the worker's process could not be set up"))
        else:
            self._fail_start(start_exit_error(self.app.ref, exit_, "the process ended before the app was set up"))
        self._let_go()
        self.died = self.state in (WorkerState.IDLE, WorkerState.LEASED, WorkerState.SHARED)
        self.state = WorkerState.GONE
        callbacks, self._lost_callbacks = self._lost_callbacks, []
        for callback in callbacks:
            callback(exit_)
        self._on_gone(self)
