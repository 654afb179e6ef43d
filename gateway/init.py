"""What falls to process 1 of a container: orphans to reap, and signals to pass on.

The kernel gives process 1 every process whose parent has died, and keeps from it all signals that it does not handle.
So it does nothing else: the gateway is its child. Nothing is imported here that the gateway needs, as this process
stays.
"""

import os
import signal
import sys

_INIT = 1
_KILLED = 128
"""The exit code of a process that a signal has killed is this and the signal's number, as shells have it."""


def leave_init_behind() -> None:
    """In process 1, fork and return in the child, with whose exit code process 1 ends. Elsewhere do nothing."""
    if os.getpid() != _INIT:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    code = _attend(child)
    sys.stdout.flush()
    os._exit(code)


def _attend(child: int) -> int:
    """Pass signals on, and reap whatever ends, until the child does. Returns its exit code."""
    signals = signal.valid_signals()
    while True:
        info = signal.sigwaitinfo(signals)
        if info.si_signo == signal.SIGCHLD:
            code = _reap(child)
            if code is not None:
                return code
        elif info.si_code <= 0:
            # Sent by a process. What a terminal sends (Ctrl-C) goes to the whole group, so the child has it already.
            os.kill(child, info.si_signo)


def _reap(child: int) -> int | None:
    """Reap everything that has ended. Returns the child's exit code if it was among that."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else _KILLED - ended
