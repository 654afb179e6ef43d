"""A worker without a gateway: how long it stays, and how it is sure to go.

A leased worker outlives its gateway, so that the next one can take it over. One that nobody contacts for the session's
timeout and a grace ends itself; one that is not leased ends at once. Two clocks see to that: a timer of the event loop,
after which unload() is run, and a little later one of the kernel, which ends a process whose loop the app is blocking.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import select
import signal
from collections.abc import Callable

from gateway.timing import ORPHAN_BLOCKED_GRACE, ORPHAN_SETTLE, WORKER_FIRST_CONTACT

_PR_SET_PDEATHSIG = 1
_PARENT_DIED = signal.SIGURG
"""Ignored unless somebody asks for it, so that it may come before the handler is set, or to a child of the app."""

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def tell_when_parent_dies() -> None:
    """Have this process, fresh from a fork, sent a signal when the zygote ends, which it does with its gateway."""
    _prctl(_PR_SET_PDEATHSIG, _PARENT_DIED, 0, 0, 0)


def die_with_parent() -> None:
    """Have this process, fresh from a fork, end at once when its parent does."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class OrphanWatch:
    """Counts the time without a gateway."""

    def __init__(self, end: Callable[[], object], zygote: int) -> None:
        """`end` makes the worker run unload() and exit; `zygote` is the process that forked it. In a sandbox, where
        that is not to be seen, it is the descriptor, times -1, of a pipe that ends with it.
        """
        self._end = end
        self._zygote = zygote
        self._known = False
        self._outlive = 0.0
        self._connected = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> None:
        """Begin, on the running loop's thread."""
        self._loop = asyncio.get_running_loop()
        signal.signal(_PARENT_DIED, self._parent_died)
        if self._zygote_is_gone():
            os._exit(1)  # it died before that, and nobody knows of this worker
        self._timer = asyncio.get_running_loop().call_later(WORKER_FIRST_CONTACT, self._end)

    def _zygote_is_gone(self) -> bool:
        if self._zygote > 0:
            return os.getppid() != self._zygote
        pipe = -self._zygote
        os.set_inheritable(pipe, False)
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, _PARENT_DIED)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
        return bool(select.select([pipe], [], [], 0)[0])

    def leased(self, outlive: float) -> None:
        """From now on the worker outlives its gateway by so many seconds; 0: not at all."""
        self._outlive = outlive

    def contacted(self) -> None:
        """A gateway is there."""
        self._connected = self._known = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._timer is not None:
            self._timer.cancel()

    def abandoned(self) -> None:
        """No gateway is there any more."""
        self._connected = False
        if self._outlive == 0:
            self._end()
            return
        signal.setitimer(signal.ITIMER_REAL, self._outlive + ORPHAN_BLOCKED_GRACE)
        self._timer = asyncio.get_running_loop().call_later(self._outlive, self._end)

    def _parent_died(self, *_: object) -> None:
        if not self._known:
            os._exit(1)  # the gateway that asked for this worker is gone before it could use it
        # Runs between two steps of whatever the app is doing: the loop may be blocked and see nothing of the end of the
        # connection. SIGALRM is left at its default, which ends the process.
        signal.setitimer(signal.ITIMER_REAL, self._outlive + ORPHAN_BLOCKED_GRACE)
        if self._loop is not None:
            # It may have ended: this must not disturb the worker while it sees to what it has started.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._look_again)

    def _look_again(self) -> None:
        asyncio.get_running_loop().call_later(ORPHAN_SETTLE, self._disarm_if_connected)

    def _disarm_if_connected(self) -> None:
        if self._connected:
            signal.setitimer(signal.ITIMER_REAL, 0)
