"""What an app may take of the machine, as far as the process itself can see to it (docs/adr/0017-limits.md).

The limits come from the gateway as JSON, with the keys of `[limits]` in `app.toml` and null for none. The kernel keeps
those of one process. What a worker's processes take together the gateway watches.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

from google.protobuf.message import DecodeError, EncodeError

from gateway.worker.failures import raised, timed_out
from gateway.worker.outcome import Outcome

ROOM_TO_ANSWER = 8 * 1024 * 1024
"""Bytes of the limit that the app's functions do not get: out of memory, a worker must still say so."""

OUT_OF_MEMORY_EXIT = 71
"""Exit code of a worker that has no memory left to answer with (EX_OSERR of sysexits.h)."""


_NO_MEMORY = (MemoryError, DecodeError, EncodeError)
"""What is raised without memory: protobuf has errors of its own for that."""


class ProcessLimits:
    """The limits of one worker, or of the process that workers are forked from."""

    def __init__(self, text: str = "{}") -> None:
        """`text` is the limits as JSON."""
        given = json.loads(text)
        self.text = text
        self._memory: int | None = given.get("memory")
        self._open_files: int | None = given.get("open_files")
        self._disk: int | None = given.get("disk")
        self._call: float | None = given.get("call")
        self._functions = 0
        self.deferred = False
        """Whether `enter_worker` is to be called in each worker."""

    def enter(self, *, shared: bool = False) -> None:
        """Have the kernel keep them, for this process and all that it will start. One that is `shared` has descriptors
        for all who share it: those of an app are counted in its workers only.
        """
        self.deferred = shared and self._open_files is not None
        # Where it would be written goes with the worker.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        # Of the address space only what may be written to: what is reserved and never used costs nothing.
        _lower(resource.RLIMIT_DATA, self._memory)
        if not self.deferred:
            _lower(resource.RLIMIT_NOFILE, self._open_files)
        # Python ignores SIGXFSZ: a write beyond it is an OSError.
        _lower(resource.RLIMIT_FSIZE, self._disk)

    def enter_worker(self) -> None:
        """Have the kernel keep what was deferred."""
        _lower(resource.RLIMIT_NOFILE, self._open_files)

    def serve(self) -> None:
        """See to it, on the running loop, that a worker without memory ends rather than leave a call unanswered."""
        if self._memory is not None:
            asyncio.get_running_loop().set_exception_handler(_leave_without_memory)

    @property
    def of_calls(self) -> bool:
        """Whether there are any that each call is to be kept within."""
        return self._memory is not None or self._call is not None

    def keep(self, answer: Coroutine[Any, Any, Outcome]) -> Coroutine[Any, Any, Outcome]:
        """Return the answer of a call within the limits."""
        if self._memory is not None:
            answer = self._in_memory(answer)
        if self._call is not None:
            answer = _in_time(answer, self._call)
        return answer

    async def _in_memory(self, answer: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            with self._without_room():
                return await answer
        except Exception as error:
            # What failed could not even be put into words: there was no room for them.
            short = error if isinstance(error, MemoryError) else MemoryError()
            return Outcome(failure=raised(short.with_traceback(None)))

    @contextlib.contextmanager
    def _without_room(self) -> Iterator[None]:
        """Keep ROOM_TO_ANSWER from whatever runs inside."""
        assert self._memory is not None
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        self._functions += 1
        resource.setrlimit(resource.RLIMIT_DATA, (max(0, min(self._memory, hard) - ROOM_TO_ANSWER), hard))
        try:
            yield
        finally:
            self._functions -= 1
            if not self._functions:
                resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


async def _in_time(answer: Coroutine[Any, Any, Outcome], seconds: float) -> Outcome:
    """Cancel what takes longer. If it gives way the call has timed out; if it answers all the same, that is the answer.

    What does not give way the gateway ends, with the whole worker.
    """
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        outcome = await answer
    finally:
        timer.cancel()
    if not _was_cancelled(outcome) or asyncio.get_running_loop().time() < timer.when():
        return outcome
    return Outcome(failure=timed_out(seconds))


def _was_cancelled(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.type == asyncio.CancelledError.__name__


def _lower(kind: int, value: int | None) -> None:
    if value is not None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _leave_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Of a callback or a protocol, which may have been about to answer; a task of the app's own is its own affair.
    if isinstance(context.get("exception"), _NO_MEMORY) and not context.get("future"):
        with contextlib.suppress(BaseException):
            os.write(sys.stderr.fileno(), b"the worker has no memory left to answer with\n")
        os._exit(OUT_OF_MEMORY_EXIT)
    loop.default_exception_handler(context)
