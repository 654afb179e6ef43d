"""A Python interpreter: variables, imports, functions and files of one call are there in the session's next one."""

import asyncio
import base64
import binascii
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Self

from cellrunner.capture import Capture
from cellrunner.console import Console, Outcome
from cellrunner.failures import Failure
from cellrunner.files import FileState, WorkingDirectory
from pydantic import ConfigDict, Field, JsonValue, model_validator

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput

MAX_LISTED = 1000
UNLOAD_SECONDS = 0.5

FilePath = Annotated[
    str, Field(min_length=1, max_length=4096, description="A path relative to the session's working directory.")
]


class StrictInput(BaseAppInput):
    model_config = ConfigDict(extra="forbid")


class RunInput(StrictInput):
    code: str = Field(
        description="Python code. `await` may be used at the top level.", examples=["x = 6\nprint('hi')\nx * 7"]
    )
    timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="When to stop the code. Its variables are kept then too."
    )


class ErrorOutput(BaseAppOutput):
    type: str = Field(description="The exception's class.")
    message: str = Field(description="The exception's text.")
    traceback: str = Field(description="The traceback, with the frames of the caller's own code only.")


class FileOutput(BaseAppOutput):
    path: str = Field(description="The path relative to the working directory.")
    size: int = Field(description="The size in bytes.")


class RunOutput(BaseAppOutput):
    cell: int = Field(description="The number of this call in its session; tracebacks name it.")
    stdout: str = Field(description="What was printed; over 64 KiB, its beginning and its end with a note between.")
    stdout_cut: int = Field(description="How many bytes were cut from stdout.")
    stderr: str = Field(description="The same for standard error.")
    stderr_cut: int = Field(description="How many bytes were cut from stderr.")
    result: str | None = Field(description="`repr` of the last expression's value, bounded; null if that is None.")
    result_type: str | None = Field(description="The class of that value.")
    result_json: JsonValue = Field(description="That value itself if it is JSON of less than 64 KiB; null if not.")
    error: ErrorOutput | None = Field(description="The exception that ended the code; null if it ran to its end.")
    files: list[FileOutput] = Field(description="Files that are new or changed, figures among them; at most 1000.")


class ListFilesOutput(BaseAppOutput):
    files: list[FileOutput] = Field(description="The files, in order of their paths; at most 1000.")
    truncated: bool = Field(description="Whether there are more.")


class ReadFileInput(StrictInput):
    path: FilePath
    offset: int = Field(default=0, ge=0, le=2**62, description="The byte to begin at.")
    max_bytes: int = Field(default=2**20, ge=1, le=2**21, description="How many bytes to return at most.")


class ReadFileOutput(BaseAppOutput):
    text: str | None = Field(description="The content, if it is UTF-8 text; else null.")
    base64: str | None = Field(description="The content in base64, if it is not text; else null.")
    size: int = Field(description="The size of the whole file in bytes.")
    next_offset: int | None = Field(description="Where the next part begins; null if this was the last one.")


class WriteFileInput(StrictInput):
    path: FilePath
    text: str | None = Field(default=None, description="The content as text. Either this or `base64`.")
    base64: str | None = Field(default=None, description="The content in base64. Either this or `text`.")

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("give either `text` or `base64`")
        self.content()
        return self

    def content(self) -> bytes:
        """The bytes to write. Raises ValueError if they are not base64."""
        if self.base64 is None:
            return (self.text or "").encode()
        try:
            return base64.b64decode(self.base64, validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from error


class App(BaseApp):
    """One interpreter for each worker, and so for each session."""

    # How long code may take to stop once it is told to.
    _patience_seconds = 2.0

    def setup(self) -> None:
        self._cells = 0
        self._running: Future[Outcome] | None = None
        self._cleanup = ExitStack()
        self._files = WorkingDirectory(Path.cwd())
        self._capture = Capture()
        self._cleanup.callback(self._capture.release)
        self._console = Console(self._files.root, self._capture)
        self._cleanup.enter_context(_surroundings(self._files.root, self._console.module))
        self._cleanup.callback(self._console.close, UNLOAD_SECONDS)

    def unload(self) -> None:
        self._cleanup.close()

    async def run(self, input: RunInput) -> RunOutput:
        """Run Python code. An exception in it is part of the answer; what it has defined until then stays."""
        before = self._files.snapshot()
        if self._running is not None and not self._running.done():
            return self._answer(Outcome(failure=_still_running(self._cells)), before)
        self._cells += 1
        self._running = self._console.execute(self._cells, input.code)
        return self._answer(await self._outcome(self._running, input.timeout_seconds), before)

    def list_files(self) -> ListFilesOutput:
        """List the files of the working directory. Hidden ones are left out."""
        files = self._files.snapshot()
        return ListFilesOutput(files=_listed(files), truncated=len(files) > MAX_LISTED)

    def read_file(self, input: ReadFileInput) -> ReadFileOutput:
        """Read a file, or a part of it. Raises FileNotFoundError, and ValueError for a path that leads out."""
        part = self._files.read(input.path, input.offset, input.max_bytes)
        return ReadFileOutput(text=part.text, base64=part.base64, size=part.size, next_offset=part.next_offset)

    def write_file(self, input: WriteFileInput) -> FileOutput:
        """Write a file. Raises ValueError for a path that leads out of the working directory."""
        content = input.content()
        self._files.write(input.path, content)
        return FileOutput(path=input.path, size=len(content))

    async def _outcome(self, running: Future[Outcome], seconds: float) -> Outcome:
        ended = asyncio.wrap_future(running)
        try:
            await asyncio.wait([ended], timeout=seconds)
        except asyncio.CancelledError:
            await self._console.interrupt(running, "the call was cancelled", self._patience_seconds)
            # Nobody gets it now, and the next call is not to have it among its own.
            self._capture.stdout.take()
            self._capture.stderr.take()
            raise
        reason = f"stopped after {seconds:g} s"
        if not ended.done() and not await self._console.interrupt(running, reason, self._patience_seconds):
            return Outcome(failure=_still_running(self._cells))
        return running.result()

    def _answer(self, outcome: Outcome, before: dict[str, FileState]) -> RunOutput:
        stdout, stderr = self._capture.stdout.take(), self._capture.stderr.take()
        value = outcome.value
        return RunOutput(
            cell=self._cells,
            stdout=stdout.text,
            stdout_cut=stdout.cut_bytes,
            stderr=stderr.text,
            stderr_cut=stderr.cut_bytes,
            result=value.repr if value else None,
            result_type=value.type if value else None,
            result_json=value.json if value else None,
            error=_error(outcome.failure),
            files=_listed(self._files.changed_since(before)),
        )


def _listed(files: dict[str, FileState]) -> list[FileOutput]:
    return [FileOutput(path=path, size=state.size) for path, state in list(files.items())[:MAX_LISTED]]


def _error(failure: Failure | None) -> ErrorOutput | None:
    if failure is None:
        return None
    return ErrorOutput(type=failure.type, message=failure.message, traceback=failure.traceback)


def _still_running(cell: int) -> Failure:
    message = f"the code of cell {cell} waits in a call that cannot be interrupted; nothing else runs until it returns"
    return Failure("TimeoutError", message, "")


@contextmanager
def _surroundings(directory: Path, main: ModuleType) -> Iterator[None]:
    """Make the process look to user code like one that was started for it."""
    argv, worker_main, environment = sys.argv, sys.modules["__main__"], os.environ.copy()
    settings = tempfile.mkdtemp(prefix="matplotlib-")
    # Pickle, dataclasses and multiprocessing look classes up there.
    sys.modules["__main__"] = main
    sys.argv = [""]
    sys.path.insert(0, str(directory))
    os.environ.update(MPLBACKEND="Agg", MPLCONFIGDIR=settings)
    with warnings.catch_warnings():
        # plt.show() has nothing to show here: the figure is saved instead.
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        try:
            yield
        finally:
            shutil.rmtree(settings, ignore_errors=True)
            os.environ.clear()
            os.environ.update(environment)
            sys.path.remove(str(directory))
            sys.argv, sys.modules["__main__"] = argv, worker_main
