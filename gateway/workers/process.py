"""One local worker process: its directory, its connection, and how it ends."""

import asyncio
import contextlib
import enum
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace

from gateway.clock import Clock, Timer
from gateway.errors import AppStartFailed, WorkerExit
from gateway.model import AppVersion
from gateway.timing import ADOPTION_PATIENCE, TERM_GRACE
from gateway.worker.family import end_families, mark_of
from gateway.worker.process import CANNOT_ENTER_EXIT, WorkerDirectory
from gateway.workers.base import PendingCall, Standing, Worker, WorkerCall, WorkerLease
from gateway.workers.call_limit import CallLimit
from gateway.workers.connection import WorkerConnection
from gateway.workers.containment.base import Containment, own_processes
from gateway.workers.containment.users import end_user, user_of
from gateway.workers.output import OutputReader, open_pipe
from gateway.workers.records import write_app
from gateway.workers.removal import remove_tree
from gateway.workers.replies import start_error, start_exit_error
from gateway.workers.runtime import recorded_process
from gateway.workers.zygote import Zygote
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")


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


class LocalWorker(Worker):
    """A process that a zygote forked. Made by the pool, which hears of its end through `on_gone`."""

    def __init__(
        self,
        worker_id: str,
        app: AppVersion,
        directory: WorkerDirectory,
        clock: Clock,
        on_gone: Callable[["LocalWorker"], object],
    ) -> None:
        self.id = worker_id
        self.app = app
        self.state = WorkerState.STARTING
        self.session_id = ""
        self.idle_since = clock.now().monotonic
        self.calls = 0
        """Calls in flight, for a shared worker."""
        self.died = False
        """It ended although nobody had asked it to."""
        self.directory = directory
        self._limit = ""
        self._call_limit = CallLimit.of(app, clock, lambda call_id: self.exceed("call", call_id))
        self._untold = False
        self._clock = clock
        self._on_gone = on_gone
        self._exit: WorkerExit | None = None
        self._lost_callbacks: list[Callable[[WorkerExit], object]] = []
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = WorkerConnection(
            worker_id, app.ref, on_ready=self._on_ready, on_failed=self._on_failed, on_broken=self._on_broken
        )
        self._output: OutputReader | None = None
        self._pidfd = -1
        self._zygote: Zygote | None = None
        self._containment: Containment | None = None
        self._timer: Timer | None = None
        self._pid = 0
        self._adopting: WorkerLease | None = None
        self._standing: Standing | None = None
        self._standing_callbacks: list[Callable[[Standing], object]] = []

    @property
    def exit(self) -> WorkerExit | None:
        return self._exit

    @property
    def own_processes(self) -> int:
        """How many of its processes are not the app's doing."""
        return own_processes(self.app.isolation)

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

    async def start(self, zygote: Zygote, timeout: float, output_rate: int) -> None:
        """Fork, connect and wait until the app is set up.

        Raises AppStartFailed or ZygoteGone. However it ends without success, the process and the directory go.
        """
        try:
            self._containment = zygote.containment
            self._containment.prepare(self.directory)
            self.app = replace(self.app, isolation=self._containment.profile)
            labels = {"app": str(self.app.ref), "session_id": "", "worker_id": self.id}
            self._output = OutputReader(open_pipe(self.directory.output), self._clock, output_rate, labels)
            self._zygote = zygote
            self.functions = [function.name for function in zygote.functions]
            write_app(self.directory.app, self.app, self.functions)
            pid = await zygote.fork(self.id, self.directory.root, self._exited)
            self._containment.started(self.directory, pid)
            self._watch(pid)
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self._connection, str(self.directory.socket))
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill()
            raise start_exit_error(self.app.ref, WorkerExit(), f"setup() took more than {timeout:g} s") from None
        except BaseException:
            self.kill()
            raise

    async def adopt(self, lease: WorkerLease, output_rate: int) -> bool:
        """Take over a worker that another gateway left; False when it is gone, or is not the one of that lease.

        A worker whose app blocks its loop is taken without an answer: until it says who it is, it refuses every call
        that carries another session or epoch.
        """
        pid = recorded_process(self.directory)
        if pid is None:
            return False
        self._watch(pid)
        # Before the connection is there: the worker speaks first.
        self._adopting = lease
        self.session_id = lease.session_id
        self.state = WorkerState.LEASED
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self._connection, str(self.directory.socket))
        except OSError:
            self.detach()
            return False
        with contextlib.suppress(TimeoutError, AppStartFailed):  # one that ends, or says what makes no sense, is lost
            async with asyncio.timeout(ADOPTION_PATIENCE):
                await asyncio.shield(self._ready)
        if self._call_limit is not None and not self._ready.done():
            self._call_limit.bound_unheard(self._ready)
        if self.state is not WorkerState.LEASED:
            return False
        labels = {"app": str(self.app.ref), "session_id": lease.session_id, "worker_id": self.id}
        self._output = OutputReader(open_pipe(self.directory.output), self._clock, output_rate, labels)
        return True

    def detach(self) -> None:
        """Let go of the process and leave it running."""
        self.state = WorkerState.DETACHED
        self._lost_callbacks = []
        self._connection.abort()
        self._close_descriptors()

    def bind(self, session_id: str, epoch: int, outlive: float) -> None:
        """Lease the worker to a session, for the rest of its life."""
        self.state = WorkerState.LEASED
        self.session_id = session_id
        if self._output is not None:
            self._output.labels = {**self._output.labels, "session_id": session_id}
        self._connection.send(pb.ToWorker(lease=pb.Lease(session_id=session_id, epoch=epoch, outlive=outlive)))

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

    def kill(self) -> None:
        """End the process with SIGKILL. Its exit is seen as any other."""
        self._signal(signal.SIGKILL)
        if self._pidfd < 0 and self._exit is None:
            self._exited(WorkerExit())  # it never came to be, or cannot be told from others any more

    def exceed(self, limit: str, call_id: str = "") -> None:
        """Kill it and all that it has started, for its app, or that call, has gone beyond that limit. What it would do
        within a grace is more of the same.
        """
        if self._exit is not None or self._limit or self.state is WorkerState.DETACHED:
            return
        self._limit = limit
        labels = {"session_id": self.session_id, "call_id": call_id}
        logger.warning("worker %s exceeds limits.%s: SIGKILL", self.id, limit, extra=labels)
        self.kill()
        asyncio.get_running_loop().run_in_executor(None, end_families, {mark_of(self.id)})

    def _terminate(self) -> None:
        logger.warning("worker %s outlasts its grace: SIGTERM", self.id, extra={"session_id": self.session_id})
        self._signal(signal.SIGTERM)
        self._timer = self._clock.call_later(TERM_GRACE, self.kill)

    def _signal(self, number: signal.Signals) -> None:
        # Through the descriptor: a process id may by now belong to another process.
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _watch(self, pid: int) -> None:
        self._pid = pid
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # it has ended, and the zygote is about to say how
        if self._exit is not None:
            # Given up while it was being forked.
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            return
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended_unseen)

    def _ended_unseen(self) -> None:
        # The zygote, as the parent, knows the exit code and says it. Without a zygote nobody does.
        asyncio.get_running_loop().remove_reader(self._pidfd)
        if self._zygote is None:
            self._ended_untold()
        else:
            self._zygote.seen_dead(self.id, self._ended_untold)

    def _ended_untold(self) -> None:
        # Nor does anyone else end what it forked. Its id cannot be another group's while that is there; those who have
        # left the group go before the directory does.
        self._untold = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        self._exited(WorkerExit())

    def _on_ready(self, ready: pb.Ready) -> None:
        if self._adopting is not None:
            self._on_standing(self._adopting, ready)
        else:
            self._resolve_ready()

    def _on_standing(self, lease: WorkerLease, ready: pb.Ready) -> None:
        if (ready.session_id, ready.epoch) != (lease.session_id, lease.epoch):
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
        self._standing = Standing(running, ready.started, ready.last_end or None)
        self._resolve_ready()
        for callback in self._standing_callbacks:
            callback(self._standing)

    def _resolve_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_failed(self, failure: pb.Failure) -> None:
        self._fail_start(start_error(self.app.ref, failure))

    def _on_broken(self) -> None:
        # The app closed the socket or wrote to it, or the process is ending: either way nobody can use it any more.
        if self._exit is None and self.state not in (WorkerState.ENDING, WorkerState.DETACHED):
            if own_processes(self.app.isolation) == 1:
                self._signal(signal.SIGKILL)
            else:  # the others that are to pass on how it ended are about to
                self._timer = self._clock.call_later(TERM_GRACE, self.kill)

    def _fail_start(self, error: AppStartFailed | OSError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()

    def _exited(self, exit_: WorkerExit) -> None:
        if self._exit is not None:
            return
        exit_ = self._exit = replace(exit_, limit=self._limit)
        if self._timer is not None:
            self._timer.cancel()
        self._connection.worker_exited(exit_)
        if exit_.exit_code == CANNOT_ENTER_EXIT:
            self._fail_start(OSError("the worker's process could not be set up"))
        else:
            self._fail_start(start_exit_error(self.app.ref, exit_, "the process ended before the app was set up"))
        self._close_descriptors()
        self.died = self.state in (WorkerState.IDLE, WorkerState.LEASED, WorkerState.SHARED)
        self.state = WorkerState.GONE
        callbacks, self._lost_callbacks = self._lost_callbacks, []
        for callback in callbacks:
            callback(exit_)
        self._on_gone(self)

    def _close_descriptors(self) -> None:
        if self._output is not None:
            self._output.close()
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def remove_directory(self) -> None:
        """Delete all that the worker left. Blocks: may be many files."""
        if self._untold:
            end_families({mark_of(self.id)})
            user = user_of(self.directory.root)
            if user is not None:
                end_user(user)
        if not self.directory.remove_empty():
            remove_tree(self.directory.root)  # which never came to be if the app could not be imported
        if self._containment is not None:
            self._containment.removed(self.directory)
