"""The process of one worker on the machine where it runs: its directory, its output, its limits, and how it ended."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace

from gateway.clock import Clock
from gateway.errors import WorkerExit
from gateway.model import AppVersion
from gateway.worker.family import end_families, mark_of
from gateway.worker.process import WorkerDirectory
from gateway.workers.containment.base import Containment, own_processes
from gateway.workers.containment.users import end_user, user_of
from gateway.workers.output import OutputReader, open_pipe
from gateway.workers.removal import remove_tree
from gateway.workers.runtime import recorded_process
from gateway.workers.zygote import Zygote
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")


class WorkerProcess:
    """A process that a zygote forked. Whoever makes it hears of its end through `on_exit`, once."""

    def __init__(
        self,
        worker_id: str,
        app: AppVersion,
        directory: WorkerDirectory,
        clock: Clock,
        on_exit: Callable[[WorkerExit], object],
    ) -> None:
        self.id = worker_id
        self.app = app
        self.directory = directory
        self.exit: WorkerExit | None = None
        """How it ended; None while it lives, and before it does."""
        self._clock = clock
        self._on_exit = on_exit
        self._limit = ""
        self._untold = False
        self._output: OutputReader | None = None
        self._pid = 0
        self._pidfd = -1
        self._zygote: Zygote | None = None
        self._containment: Containment | None = None

    @property
    def own_processes(self) -> int:
        """How many of its processes are not the app's doing."""
        return own_processes(self.app.isolation)

    async def start(self, zygote: Zygote, output_rate: int, door: pb.Door | None = None) -> int:
        """Make the directory, fork, and watch the process. Returns the port of its `door`, if it is to have one.

        Raises ZygoteGone and OSError. However it fails, `kill` is still to be called.
        """
        self._containment = zygote.containment
        self._containment.prepare(self.directory)
        self.app = zygote.contained_app
        self.read_output(output_rate, "")
        self._zygote = zygote
        self.directory.app.write_text(zygote.record, encoding="utf-8")
        forked = await zygote.fork(self.id, self.directory.root, self._exited, door)
        self._containment.started(self.directory, forked.pid)
        self._watch(forked.pid)
        return forked.port

    def adopt(self) -> bool:
        """Watch the process that another gateway left in the directory. Returns False when it is gone."""
        pid = recorded_process(self.directory)
        if pid is not None:
            self._watch(pid)
        return pid is not None

    def read_output(self, rate: int, session_id: str) -> None:
        """Pass on what it prints from now on. Raises OSError."""
        labels = {"app": str(self.app.ref), "session_id": session_id, "worker_id": self.id}
        self._output = OutputReader(open_pipe(self.directory.output), self._clock, rate, labels)

    def belongs_to(self, session_id: str) -> None:
        """Say in the log from now on whose worker it is."""
        if self._output is not None:
            self._output.labels = {**self._output.labels, "session_id": session_id}

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        # Through the descriptor: a process id may by now belong to another process.
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """End the process with SIGKILL. Its exit is seen as any other."""
        self.signal(signal.SIGKILL)
        if self._pidfd < 0 and self.exit is None:
            self._exited(WorkerExit())  # it never came to be, or cannot be told from others any more

    def exceed(self, limit: str, session_id: str = "", call_id: str = "") -> None:
        """Kill it and all that it has started, for its app, or that call, has gone beyond that limit. What it would do
        within a grace is more of the same.
        """
        if self.exit is not None or self._limit:
            return
        self._limit = limit
        labels = {"session_id": session_id, "call_id": call_id}
        logger.warning("worker %s exceeds limits.%s: SIGKILL", self.id, limit, extra=labels)
        self.kill()
        asyncio.get_running_loop().run_in_executor(None, end_families, {mark_of(self.id)})

    def let_go(self) -> None:
        """Close all that is held of it. Also called at its end."""
        if self._output is not None:
            self._output.close()
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def remove(self) -> None:
        """Delete all that it left. Blocks: may be many files."""
        if self._untold:
            end_families({mark_of(self.id)})
            user = user_of(self.directory.root)
            if user is not None:
                end_user(user)
        if not self.directory.remove_empty():
            remove_tree(self.directory.root)  # which never came to be if the app could not be imported
        if self._containment is not None:
            self._containment.removed(self.directory)

    def _watch(self, pid: int) -> None:
        self._pid = pid
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # it has ended, and the zygote is about to say how
        if self.exit is not None:
            # Given up while it was being forked.
            with contextlib.suppress(ProcessLookupError):
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

    def _exited(self, exit_: WorkerExit) -> None:
        if self.exit is not None:
            return
        self.exit = replace(exit_, limit=self._limit)
        self._on_exit(self.exit)
        self.let_go()
