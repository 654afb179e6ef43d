"""A Python console that keeps its variables: cells run one after another in a thread of their own.

Why a thread: the worker's event loop stays free, so that a call can be cancelled; user code has an event loop of its
own, which it can use (`await`, `asyncio.run`) and break without breaking the worker; and a cell that runs too long
can be interrupted with the variables kept.
"""

import ast
import asyncio
import builtins
import inspect
import linecache
import queue
import sys
import threading
import types
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellrunner.capture import Capture
from cellrunner.failures import Failure, failure
from cellrunner.figures import save_open_figures
from cellrunner.interrupts import Interrupted, Interrupter
from cellrunner.values import Described, described, safe_text, type_name

# How often a cell is told to stop, before it is left alone.
_ATTEMPTS = 4
_OWN_FILES = Path(__file__).parent
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: the value of its last expression, or how it failed; or neither."""

    value: Described | None = None
    failure: Failure | None = None


class Console:
    """One namespace, module `__main__`, in which all cells run. `close` ends its thread."""

    def __init__(self, directory: Path, capture: Capture) -> None:
        self.module = types.ModuleType("__main__")
        self.module.__dict__["__builtins__"] = builtins
        self._directory = directory
        self._capture = capture
        self._interrupter = Interrupter()
        self._reason: str | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled: asyncio.Task[Any] | None = None
        self._loop = asyncio.new_event_loop()
        self._cells: queue.SimpleQueue[tuple[int, str, Future[Outcome]] | None] = queue.SimpleQueue()
        # Daemon: code that cannot be stopped must not keep the process alive.
        self._thread = threading.Thread(target=self._serve, name="console", daemon=True)
        self._thread.start()

    def execute(self, number: int, source: str) -> Future[Outcome]:
        """Run a cell; `number` names it in tracebacks.

        The future never has an exception of user code, only one of the console itself. It cannot be cancelled.
        """
        self._reason = None
        future: Future[Outcome] = Future()
        self._cells.put((number, source, future))
        return future

    async def interrupt(self, future: Future[Outcome], reason: str, patience: float) -> bool:
        """Stop a running cell. Returns whether it has stopped within `patience` seconds.

        If it stops because of this, it fails with TimeoutError and `reason`. A cell that waits inside C code stops when
        it comes back from there.
        """
        self._reason = reason
        ended = asyncio.wrap_future(future)
        for _ in range(_ATTEMPTS):
            self._stop_once()
            await asyncio.wait([ended], timeout=patience / _ATTEMPTS)
            if ended.done():
                return True
        return False

    def close(self, patience: float) -> None:
        """End the thread; code that still runs gets `patience` seconds to stop."""
        self._cells.put(None)
        self._reason = "the session ends"
        for _ in range(_ATTEMPTS):
            self._stop_once()
            self._thread.join(patience / _ATTEMPTS)
            if not self._thread.is_alive():
                return

    def _stop_once(self) -> None:
        # A task that waits can only be cancelled, and then gets its chance to clean up; one that computes, or does not
        # let itself be cancelled, can only be struck. A cell that has only just begun has no task yet.
        task = self._task
        if task is not None and task is not self._cancelled:
            self._cancelled = task
            self._loop.call_soon_threadsafe(task.cancel)
        else:
            self._interrupter.strike()

    def _serve(self) -> None:
        while (cell := self._cells.get()) is not None:
            number, source, future = cell
            try:
                future.set_result(self._cell(number, source))
            except BaseException as error:  # noqa: BLE001  becomes the caller's exception
                future.set_exception(error)
        self._cancel_tasks()
        self._loop.close()

    def _cancel_tasks(self) -> None:
        # Nobody is left to read how the tasks of user code end.
        self._loop.set_exception_handler(lambda *_: None)
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        with suppress(BaseException), self._interrupter.window():
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def _cell(self, number: int, source: str) -> Outcome:
        # asyncio.run() in an earlier cell has unset it.
        asyncio.set_event_loop(self._loop)
        with self._capture.active():
            outcome = self._attempt(number, source)
            self._save_figures()
            return outcome

    def _attempt(self, number: int, source: str) -> Outcome:
        try:
            with self._interrupter.window():
                value = self._evaluate(f"<cell {number}>", source)
                return Outcome(value=None if value is None else described(value))
        except BaseException as error:  # noqa: BLE001  user code: SystemExit and KeyboardInterrupt are answers too
            caught = error
        try:
            # A second window: an exception's own methods are user code as well.
            with self._interrupter.window():
                return Outcome(failure=self._failure(caught))
        except BaseException as error:  # noqa: BLE001  see above
            return Outcome(failure=Failure(type(caught).__name__, f"<{type(error).__name__} while describing it>", ""))
        finally:
            self._interrupter.close()

    def _failure(self, error: BaseException) -> Failure:
        if self._reason is not None and isinstance(error, Interrupted | asyncio.CancelledError):
            error = TimeoutError(self._reason).with_traceback(error.__traceback__)
        return failure(error, self._is_user_file)

    def _evaluate(self, filename: str, source: str) -> object:
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        tree = compile(source, filename, "exec", ast.PyCF_ONLY_AST | _FLAGS, dont_inherit=True)
        last = None
        # As in a notebook, a semicolon at the end says that the value is not wanted.
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
            last = ast.Expression(tree.body.pop().value)
        codes = [compile(tree, filename, "exec", _FLAGS, dont_inherit=True)]
        if last is not None:
            codes.append(compile(last, filename, "eval", _FLAGS, dont_inherit=True))
        # Code that awaits anywhere runs on the event loop as a whole, so that all of it can make tasks. Other code
        # does not, so that it can use asyncio.run().
        if any(map(_awaits, codes)):
            return self._await(self._run_on_loop(codes))
        return [eval(code, self.module.__dict__) for code in codes][-1]

    async def _run_on_loop(self, codes: list[types.CodeType]) -> object:
        result = None
        for code in codes:
            result = eval(code, self.module.__dict__)
            if _awaits(code):
                result = await result
        return result

    def _await(self, coroutine: Coroutine[Any, Any, object]) -> object:
        task = self._task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        finally:
            self._task = None
            if not task.done():
                # Something else broke the loop, like a SystemExit in another task.
                task.cancel()
            elif not task.cancelled():
                # Marks an exception that went around the task, as SystemExit does, as seen.
                task.exception()

    def _save_figures(self) -> None:
        try:
            with self._interrupter.window():
                save_open_figures(self._directory)
        except BaseException as error:  # noqa: BLE001  a figure can hold user code
            print(f"a figure could not be saved: {type_name(error)}: {safe_text(str, error)}", file=sys.stderr)
        finally:
            self._interrupter.close()

    def _is_user_file(self, filename: str) -> bool:
        path = Path(filename)
        in_directory = path.is_relative_to(self._directory) and not path.is_relative_to(_OWN_FILES)
        return filename.startswith("<cell ") or in_directory


def _awaits(code: types.CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_COROUTINE)
