"""A worker of the local pool: a process of this machine, and the connection to it."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

from gateway.clock import Clock
from gateway.errors import AppStartFailed, WorkerExit
from gateway.model import AppVersion
from gateway.timing import ADOPTION_PATIENCE, TERM_GRACE
from gateway.worker.process import WorkerDirectory
from gateway.workers.base import WorkerLease
from gateway.workers.pooled import PooledWorker, WorkerState
from gateway.workers.replies import start_exit_error
from gateway.workers.supervised import WorkerProcess
from gateway.workers.zygote import Zygote


class LocalWorker(PooledWorker):
    """A process that a zygote forked."""

    def __init__(
        self,
        worker_id: str,
        app: AppVersion,
        directory: WorkerDirectory,
        clock: Clock,
        on_gone: Callable[[PooledWorker], object],
    ) -> None:
        super().__init__(worker_id, app, clock, on_gone)
        self.directory = directory
        self._process = WorkerProcess(worker_id, app, directory, clock, self._exited)

    @property
    def own_processes(self) -> int:
        """How many of its processes are not the app's doing."""
        return self._process.own_processes

    async def start(self, zygote: Zygote, timeout: float, output_rate: int) -> None:
        """Fork, connect and wait until the app is set up.

        Raises AppStartFailed, ZygoteGone or OSError. However it ends without success, the process and the directory go.
        """
        try:
            self.functions = [function.name for function in zygote.functions]
            await self._process.start(zygote, output_rate)
            self.app = self._process.app
            await self._connect()
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill()
            raise start_exit_error(self.app.ref, WorkerExit(), f"setup() took more than {timeout:g} s") from None
        except BaseException:
            self.kill()
            raise

    async def adopt(self, lease: WorkerLease, grace: float, output_rate: int) -> bool:
        """Take over a worker that another gateway left; False when it is gone, or is not the one of that lease.

        It outlives this gateway by the lease's timeout and a `grace`. A worker whose app blocks its loop is taken
        without an answer: until it says who it is, it refuses every call that carries another session or epoch.
        """
        if not self._process.adopt():
            return False
        self._adopt_on(lease)
        try:
            await self._connect()
        except OSError:
            self.detach()
            return False
        self._claim(lease, grace)
        with contextlib.suppress(TimeoutError, AppStartFailed):  # one that ends, or says what makes no sense, is lost
            async with asyncio.timeout(ADOPTION_PATIENCE):
                await asyncio.shield(self._ready)
        self._bound_unheard()
        if self.state is not WorkerState.LEASED:
            return False
        self._process.read_output(output_rate, lease.session_id)
        return True

    def bind(self, session_id: str, epoch: int, outlive: float) -> None:
        self._process.belongs_to(session_id)
        super().bind(session_id, epoch, outlive)

    def kill(self) -> None:
        self._process.kill()

    def exceed(self, limit: str, call_id: str = "") -> None:
        if self.state is not WorkerState.DETACHED:
            self._process.exceed(limit, self.session_id, call_id)

    def remove(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(None, self._process.remove)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._connection, str(self.directory.socket))

    def _signal(self, number: signal.Signals) -> None:
        self._process.signal(number)

    def _let_go(self) -> None:
        self._process.let_go()

    def _on_broken(self) -> None:
        # The app closed the socket or wrote to it, or the process is ending: either way nobody can use it any more.
        if self._exit is None and self.state not in (WorkerState.ENDING, WorkerState.DETACHED):
            if self.own_processes == 1:
                self._signal(signal.SIGKILL)
            else:  # the others that are to pass on how it ended are about to
                self._timer = self._clock.call_later(TERM_GRACE, self.kill)
