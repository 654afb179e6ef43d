"""Takes what user code prints, however it prints it.

`print` and everything else that uses `sys.stdout` is taken in Python. What goes to the file descriptor, from child
processes and libraries in C, lands in an unlinked temporary file. (With a pipe, a library that fills it while it
holds the interpreter's lock would hang for ever.) Each write in Python first fetches what the file has got, so the
order is kept.
"""

import ctypes
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO, cast

from typing_extensions import Buffer

from cellrunner.bounded import LIMIT_BYTES, BoundedBytes, Clipped

STDOUT, STDERR = 1, 2


class Channel(io.RawIOBase):
    """One of the two standard streams; lives as long as the session, because user code may keep it (logging does)."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._kept = BoundedBytes()
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  open until `release`
        self._fetched = 0

    def write(self, data: Buffer, /) -> int:
        """Take what Python code writes."""
        taken = bytes(data)
        self._fetch()
        self._kept.write(taken)
        return len(taken)

    def writable(self) -> bool:
        """Tell the text layer that it may write."""
        return True

    def fileno(self) -> int:
        """Return the descriptor that child processes inherit: `subprocess.run(..., stdout=sys.stdout)` works."""
        return self._descriptor

    def close(self) -> None:
        """Do nothing: user code that closes `sys.stdout` closes it for itself only. See `release`."""

    def release(self) -> None:
        """Give the temporary file back."""
        self._file.close()

    def take(self) -> Clipped:
        """Return what came in since the last time."""
        self._fetch()
        return self._kept.take()

    @contextmanager
    def redirected(self) -> Iterator[TextIO]:
        """Lead the file descriptor here, and yield a text stream that leads here too."""
        # What the stubs want beyond a raw stream is for reading; this one is only written to.
        raw = cast(io.BufferedWriter, self)
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
        self._empty_file()
        saved = os.dup(self._descriptor)
        try:
            os.dup2(self._file.fileno(), self._descriptor)
            yield text
        finally:
            os.dup2(saved, self._descriptor)
            os.close(saved)

    def _empty_file(self) -> None:
        # A child process from an earlier cell may still write: it shares the file's position, so that moves with it.
        self._fetch()
        self._file.seek(0)
        self._file.truncate()
        self._fetched = 0

    def _fetch(self) -> None:
        if self._file.closed:
            return
        size = os.fstat(self._file.fileno()).st_size
        if size - self._fetched > 2 * LIMIT_BYTES:
            self._kept.write(os.pread(self._file.fileno(), LIMIT_BYTES, self._fetched))
            self._kept.skip(size - self._fetched - 2 * LIMIT_BYTES)
            self._fetched = size - LIMIT_BYTES
        while self._fetched < size:
            chunk = os.pread(self._file.fileno(), size - self._fetched, self._fetched)
            if not chunk:
                return
            self._kept.write(chunk)
            self._fetched += len(chunk)


class Capture:
    """Both streams of the process."""

    def __init__(self) -> None:
        self.stdout = Channel(STDOUT)
        self.stderr = Channel(STDERR)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Take the output while this lasts. `input()` finds the end of the file."""
        before = sys.stdin, sys.stdout, sys.stderr
        for stream in sys.stdout, sys.stderr:
            stream.flush()
        _flush_libc()
        with ExitStack() as stack:
            stack.callback(_restore, *before)
            stdout = stack.enter_context(self.stdout.redirected())
            stderr = stack.enter_context(self.stderr.redirected())
            sys.stdin, sys.stdout, sys.stderr = io.StringIO(), stdout, stderr
            try:
                yield
            finally:
                _flush_libc()

    def release(self) -> None:
        """Give the temporary files back."""
        self.stdout.release()
        self.stderr.release()


def _restore(stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr


def _flush_libc() -> None:
    # What C code has printed waits in the C library's own buffers.
    ctypes.CDLL(None).fflush(None)
