"""Starts the gateway processes of `--processes`, starts them again when they die, and ends when they have ended.

It does nothing else, and loads no gRPC: a process that has cannot be forked. It holds the data directory and the port,
so that both stay this gateway's while a process is started again.
"""

import contextlib
import ctypes
import logging
import os
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.board import Board, Member
from gateway.config import Settings
from gateway.data_directory import CannotStart, only_one
from gateway.log import configure
from gateway.ports import Ports, reserved
from gateway.service_manager import READY, STOPPING, tell_service_manager
from gateway.timing import HANG_LOOK, PROCESS_RESTART_FIRST, PROCESS_RESTART_MAX, PROCESS_STABLE
from gateway.vigil import Vigil
from gateway.worker.privileges import set_dumpable
from gateway.workers.runtime import clear_peer_sockets, runtime_directory

logger = logging.getLogger("gateway")

EXIT_UNUSABLE = 1

RunMember = Callable[[Settings, Member, Callable[[str], object]], int]
"""Runs a gateway process to its end; see `gateway.main.run_member`."""

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_SERVES = b"serves"
_REPORT = 4096


def supervise(settings: Settings, run_member: RunMember) -> int:
    """Serve with `settings.processes` processes until SIGTERM or SIGINT. Prints `listening on HOST:PORT`.

    Returns the exit code. `run_member` is called in each process that is forked.
    """
    set_dumpable(False)
    configure(settings.log)
    try:
        with only_one(settings.data_dir), reserved(settings) as ports:
            directory = runtime_directory(settings.data_dir)
            # Whoever holds the data directory is alone: these are of processes that were killed.
            clear_peer_sockets(directory)
            server = settings.server.model_copy(update={"listen": ports.address})
            metrics = settings.metrics.model_copy(update={"address": ports.metrics_address})
            settings = settings.model_copy(update={"server": server, "metrics": metrics})
            code = Supervisor(settings, ports, run_member).run()
            clear_peer_sockets(directory)
            with contextlib.suppress(OSError):  # not empty: sessions live on
                directory.rmdir()
            return code
    except CannotStart as error:
        print(f"sgw serve: {error}", file=sys.stderr)  # for the person at the terminal, not the log
        return EXIT_UNUSABLE


class _Process:
    """One of them, as the supervisor sees it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.pid = 0
        """0 while there is none."""
        self.report = -1
        """Where it says that it serves, or why it cannot. Ends when it ends."""
        self.started = 0.0
        self.pause = 0.0
        self.start_at = 0.0
        self.served = False
        self.sent_to_end = False
        """It was started only to end the sessions that the one before had left."""


class Supervisor:
    """Runs the processes, in one thread."""

    def __init__(self, settings: Settings, ports: Ports, run_member: RunMember) -> None:
        self._settings = settings
        self._ports = ports
        self._run_member = run_member
        self._board = Board(settings.processes)
        self._vigil = Vigil(self._board, settings.server.hang_timeout, time.monotonic())
        self._generation = secrets.token_hex(8)
        self._processes = [_Process(index) for index in range(settings.processes)]
        self._told = False
        self._code = 0
        self._problem = ""

    def run(self) -> int:
        """Run until all processes have ended after a signal, or one could not start. Returns the exit code.

        Raises CannotStart.
        """
        with _signals() as (wakeup, received):
            self._wakeup = wakeup
            while True:
                self._start_due()
                self._wait(wakeup)
                self._reap()  # first: who died before a signal did not end because of it
                while received:
                    self._pass_on(received.pop(0))
                    self._reap()
                self._kill_who_hangs()
                if self._board.stopping and not any(process.pid for process in self._processes):
                    break
        if self._problem:
            raise CannotStart(self._problem)
        return self._code

    def _kill_who_hangs(self) -> None:
        index = self._vigil.look(time.monotonic())
        if index is not None and self._processes[index].pid:
            os.kill(self._processes[index].pid, signal.SIGKILL)

    def _start_due(self) -> None:
        for process in self._processes:
            if not process.pid and not self._board.stopping and process.start_at <= time.monotonic():
                self._start(process)

    def _start(self, process: _Process) -> None:
        parent = os.getpid()
        process.report, ours = os.pipe()
        process.started = time.monotonic()
        process.pid = os.fork()
        if process.pid == 0:
            code = EXIT_UNUSABLE
            try:
                os.close(process.report)
                code = self._be(process, parent, ours)
            except BaseException:
                logger.exception("gateway process %d failed", process.index)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(ours)

    def _be(self, process: _Process, parent: int, report: int) -> int:
        """Be that process, just forked."""
        # Killed with the supervisor, however that ends: the next gateway must find nobody on its port and directory.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return EXIT_UNUSABLE
        # A group of its own: Ctrl-C is for the supervisor, which passes it on once.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        os.close(self._wakeup)
        for number in _STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in self._processes:
            if other is not process and other.pid:
                os.close(other.report)

        def tell(problem: str) -> None:
            os.write(report, problem.encode()[:_REPORT] or _SERVES)

        member = Member(process.index, self._board, self._generation, self._ports.sockets, self._ports.metrics)
        return self._run_member(self._settings, member, tell)

    def _wait(self, wakeup: int) -> None:
        """Wait for a signal, for what a process reports, or for the time to start one or to look at them."""
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        reporting = {process.report: process for process in self._processes if process.report >= 0}
        for report in reporting:
            poll.register(report, select.POLLIN)
        due = [process.start_at for process in self._processes if not process.pid and not self._board.stopping]
        patience = min([HANG_LOOK, *(at - time.monotonic() for at in due)])
        for descriptor, _ in poll.poll(max(0.0, patience) * 1000):
            if descriptor == wakeup:
                with contextlib.suppress(BlockingIOError):
                    os.read(wakeup, 512)
            else:
                self._reported(reporting[descriptor])

    def _reported(self, process: _Process) -> None:
        said = os.read(process.report, _REPORT)
        if said == _SERVES:
            process.served = True
            if self._board.stopping:
                os.kill(process.pid, signal.SIGTERM)
            if process.pause:
                logger.info("gateway process %d serves again", process.index)
            if not self._told and all(each.served for each in self._processes):
                self._told = True
                print(f"listening on {self._settings.server.listen}", flush=True)  # the contract with the starter
                tell_service_manager(READY)
            return
        if said and not self._problem and not self._told:
            self._problem = said.decode(errors="replace")
            self._stop(signal.SIGTERM)
        elif said:
            logger.error("gateway process %d cannot start: %s", process.index, said.decode(errors="replace"))
        os.close(process.report)
        process.report = -1

    def _pass_on(self, number: int) -> None:
        if number in _STOPPING:
            self._stop(signal.Signals(number))

    def _stop(self, number: signal.Signals) -> None:
        first = not self._board.stopping
        self._board.stopping = True
        if first:
            tell_service_manager(STOPPING)
        for process in self._processes:
            if process.pid:
                os.kill(process.pid, number)  # it cannot be another's: it is reaped here and nowhere else
            elif first and self._told:
                self._send_to_end(process)

    def _send_to_end(self, process: _Process) -> None:
        """Have the sessions of a process that has died ended, if that is what a stop means."""
        if self._settings.server.drain == "end":
            process.sent_to_end = True
            self._start(process)

    def _reap(self) -> None:
        for process in self._processes:
            if not process.pid:
                continue
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: _Process, code: int) -> None:
        process.pid = 0
        if process.report >= 0:
            self._reported(process)
        if process.report >= 0:
            os.close(process.report)
            process.report = -1
        if self._board.stopping:  # else another one takes what comes, until it is there again
            self._ports.refuse(process.index)
        self._vigil.ended(process.index)
        self._board.died(process.index)
        if self._board.stopping:
            if code >= 0:
                self._code = self._code or code
                return
            logger.error("gateway process %d was killed (%d) while it drained", process.index, code)
            if not process.sent_to_end:
                self._send_to_end(process)
            elif self._settings.server.drain == "end":
                self._code = self._code or EXIT_UNUSABLE
            return
        if not self._told:
            self._problem = f"gateway process {process.index} ended before it served ({code}); see the log"
            self._stop(signal.SIGTERM)
            return
        lived = time.monotonic() - process.started
        process.pause = (
            PROCESS_RESTART_FIRST
            if lived > PROCESS_STABLE or not process.pause
            else min(2 * process.pause, PROCESS_RESTART_MAX)
        )
        process.start_at = time.monotonic() + process.pause
        logger.error(
            "gateway process %d ended (%d); it is started again in %g s, its sessions live on",
            process.index,
            code,
            process.pause,
        )


@contextmanager
def _signals() -> Iterator[tuple[int, list[int]]]:
    """Collect signals. Yields a descriptor that is readable when some have come, and their numbers."""
    received: list[int] = []
    ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    numbers = (*_STOPPING, signal.SIGCHLD)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    signal.set_wakeup_fd(theirs)
    try:
        yield ours, received
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(ours)
        os.close(theirs)
