"""The event loop on which synchronous clients run the asynchronous one."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# Re-entrant, because the collector may drop an unused client, and so release a portal, at any allocation.
_lock = threading.RLock()
_shared: "Portal | None" = None

# In what runs on a portal: the thread that waits for it. None elsewhere.
_waiting_thread: ContextVar[int | None] = ContextVar("sessiongateway_waiting_thread", default=None)


def who_waits() -> object:
    """Return who waits for what is running now: a thread, with the synchronous client, else a task."""
    return _waiting_thread.get() or asyncio.current_task()


class _Job(Generic[T]):
    """A coroutine that runs on the loop while a thread waits for `done`.

    A bare lock, which the interpreter releases or takes in one step: an interrupt in the middle of a condition of
    `concurrent.futures` can leave that locked, and then the loop, which needs it to tell the result, stands for ever.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        """Begin, on the loop."""
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Give up, on the loop."""
        if self._task is not None:
            self._task.cancel()

    def outcome(self) -> T:
        """Return the result, or raise the error, once it is done."""
        assert self._task is not None
        try:
            return self._task.result()
        except asyncio.CancelledError:
            raise RuntimeError("the client was closed during the request") from None

    def _ended(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more, which is no cause for a warning
        self.done.release()


class Portal:
    """An event loop on a daemon thread, shared by all synchronous clients of the process.

    One for all, because every loop that uses grpc.aio is woken by the events of every other.
    """

    def __init__(self) -> None:
        self.users = 1
        self._pid = os.getpid()
        self._stopping = False
        self._farewells: set[asyncio.Task[object]] = set()
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="sessiongateway", daemon=True
        )
        self._thread.start()
        started.wait()
        atexit.register(self._stop_thread)

    @classmethod
    def acquire(cls) -> "Portal":
        """Return the shared portal, for one more user. It runs until as many have released it."""
        global _shared  # noqa: PLW0603 - the one place where the process's portal is kept
        with _lock:
            portal = _shared
            if portal is not None and portal.belongs_here:
                portal.users += 1
            else:
                portal = _shared = cls()
            return portal

    @property
    def belongs_here(self) -> bool:
        """Whether its thread exists in this process: a fork does not take threads along."""
        return self._pid == os.getpid()

    def release(self) -> None:
        """Give the portal up. The last one stops its thread and waits for its end, unless that is this thread."""
        global _shared  # noqa: PLW0603 - see acquire
        with _lock:
            self.users -= 1
            if self.users:
                return
            if _shared is self:
                _shared = None
        self._stop_thread()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result. An interrupt, such as Ctrl-C, cancels it.

        Raises:
            RuntimeError: Called on the loop itself, or in a forked child, where both would wait forever; or the
                client is closed.
        """
        with _lock:
            if reason := self._reason_to_refuse():
                work.close()
                raise RuntimeError(reason)
            job = self._submit(work)
        try:
            job.done.acquire()
        except BaseException:
            self._loop.call_soon_threadsafe(job.cancel)
            raise
        return job.outcome()

    def say_farewell(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a client's last coroutine, then release the portal; wait for nothing. Safe in a finalizer."""

        async def run() -> None:
            try:
                await work()
            finally:
                self.release()

        def start() -> None:
            task: asyncio.Task[object] = self._loop.create_task(run())
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

        with _lock:
            if self.belongs_here and not self._stopping:
                self._loop.call_soon_threadsafe(start)

    def _submit(self, work: Coroutine[Any, Any, T]) -> "_Job[T]":
        job = _Job(work)
        # The loop runs it in a copy of this thread's context as it is now.
        token = _waiting_thread.set(threading.get_ident())
        try:
            self._loop.call_soon_threadsafe(job.start)
        finally:
            _waiting_thread.reset(token)
        return job

    def _reason_to_refuse(self) -> str | None:
        if not self.belongs_here:
            return "this client was made before a fork; make a new one in the child"
        if threading.current_thread() is self._thread:
            return "a synchronous client cannot be used from its own callbacks"
        return "the client is closed" if self._stopping else None

    def _stop_thread(self) -> None:
        with _lock:
            if self._stopping or not self.belongs_here:
                return
            # From here on nothing is submitted any more, so nobody waits for a loop that has stopped.
            self._stopping = True
        self._loop.call_soon_threadsafe(self._stop.set)
        atexit.unregister(self._stop_thread)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_pass_over_grpc_noise)
        self._stop = asyncio.Event()
        started.set()
        await self._stop.wait()
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=1)


def _pass_over_grpc_noise(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Before 1.80 grpcio lets several loops race for one byte, and each but the first fails with this, to no effect.
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
