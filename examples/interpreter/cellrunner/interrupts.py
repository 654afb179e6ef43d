"""Stops Python code that runs in another thread."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """Raised inside code that is to stop. Not an Exception, so that `except Exception` does not swallow it."""


class Interrupter:
    """Raises Interrupted in one thread, but only while that thread has a window open.

    The exception strikes between two bytecodes: code that waits inside C (sleeping, reading a socket) is only stopped
    when it comes back. Strikes must be some milliseconds apart, so that closing a window is not struck twice.
    """

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._thread: int | None = None

    @contextmanager
    def window(self) -> Iterator[None]:
        """Allow strikes on the calling thread. Whatever was struck but not yet raised is called off at the end."""
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Allow no more strikes. Called in the thread that opened the window; closing twice is fine."""
        while self._thread is not None:
            try:
                with self._gate:
                    _set_exception(self._thread, None)
                    self._thread = None
            except Interrupted:
                continue

    def strike(self) -> None:
        """Raise Interrupted in the thread whose window is open, if one is."""
        with self._gate:
            if self._thread is not None:
                _set_exception(self._thread, Interrupted)


def _set_exception(thread: int, exception: type[BaseException] | None) -> None:
    target = ctypes.py_object(exception) if exception else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)
