"""The event loop of a worker: asyncio's own, with a shorter way for what comes from a gateway.

A call is one message in and one out, but takes an ordinary loop three turns, each with a look at every descriptor: one
to read, one for the first step of a task, one to see that the task is done. Here a gateway's socket is read as soon as
it is found ready, and a task takes its first step as it is made. What does not end with that step goes on like any
other task (docs/adr/0025-short-way-through-the-worker.md).
"""

import asyncio
import os
import select
import selectors
import socket
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_AT_ONCE = 16
"""Descriptors that one look may find ready. There are few: the gateways' sockets, and one for all others together."""


class _Selector(selectors.EpollSelector):
    """Watches some descriptors by itself, and all others through the selector that it extends, which epoll(7) can
    watch as one descriptor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first = select.epoll()
        self._first.register(self.fileno(), select.EPOLLIN)
        self._callbacks: dict[int, Callable[[], object]] = {}

    def renew(self) -> None:
        """Watch the same descriptors as before by means that are not shared with the process that this one was forked
        from.
        """
        for old, watched in ((self.fileno(), self.get_map()), (self._first.fileno(), (self.fileno(),))):
            with select.epoll() as new:
                for fd in watched:
                    new.register(fd, select.EPOLLIN)
                os.dup2(new.fileno(), old, inheritable=False)

    def watch(self, fd: int, callback: Callable[[], object]) -> None:
        self._first.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            self._first.unregister(fd)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        others: list[tuple[selectors.SelectorKey, int]] = []
        for fd, _ in self._first.poll(timeout, _AT_ONCE):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()
            elif fd == self.fileno():
                others = super().select(0)
        return others

    def close(self) -> None:
        self._first.close()
        super().close()


class WorkerLoop(asyncio.SelectorEventLoop):
    """Runs the app, and everything else in a worker, on one thread."""

    _ssock: socket.socket
    _csock: socket.socket
    """By which signals and other threads wake the loop, as asyncio has named them since its first release."""

    def __init__(self) -> None:
        self._watched = _Selector()
        self._beginning: Context | None = None
        """That of a task that is being made."""
        self._first_step: Callable[..., object] | None = None
        super().__init__(self._watched)

    def renew(self) -> None:
        """Make a loop that was made before the fork this process's own. It has watched nothing yet.

        The descriptors stay, and get new things behind them: to make a loop after the fork would take each worker a
        megabyte, for all that is written to on the way.
        """
        for end, new in zip((self._ssock, self._csock), socket.socketpair(), strict=True):
            new.setblocking(False)
            os.dup2(new.fileno(), end.fileno(), inheritable=False)
            new.close()
        self._watched.renew()

    def watch(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback`, which raises nothing, whenever there is something to read or the other side is gone. It is
        not called inside of a task, nor while any other callback runs.
        """
        self._watched.watch(fd, callback)

    def unwatch(self, fd: int) -> None:
        """Undo `watch()`, if it was called, before the descriptor is closed."""
        self._watched.unwatch(fd)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio.loop.call_soon."""
        if context is None or context is not self._beginning:
            return super().call_soon(callback, *args, context=context)
        self._first_step = callback  # without arguments, and nobody keeps the handle
        return None  # type: ignore[return-value]

    def begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Return a task that has taken its first step, in a context of its own. Not to be called inside of a task."""
        context = copy_context()
        if sys.version_info >= (3, 12):
            return asyncio.Task(work, loop=self, name=name, context=context, eager_start=True)
        # A task asks its loop for the first step while it is made.
        self._beginning = context
        try:
            task = asyncio.Task(work, loop=self, name=name, context=context)
        finally:
            self._beginning = None
        step, self._first_step = self._first_step, None
        assert step is not None
        context.run(step)
        return task


def new_loop() -> WorkerLoop:
    """Return the loop, which is also the one that code finds while it does not run."""
    loop = WorkerLoop()
    asyncio.set_event_loop(loop)
    return loop
