"""What apps print: from a worker's named pipe into the gateway's log, line by line, with the session's id."""

import asyncio
import contextlib
import logging
import os
from pathlib import Path

from gateway.clock import Clock
from gateway.workers.frames import unmarked

logger = logging.getLogger("gateway.output")

MAX_LINE = 8192
"""Bytes. A longer line is logged in pieces: an app that never ends its line must not fill the gateway's memory."""

_READ = 65536


class OutputReader:
    """Reads one stream without ever blocking, and drops what exceeds `rate` bytes a second.

    The gateway must keep reading even what it drops: an app whose pipe is full hangs in its next print().
    """

    def __init__(self, fd: int, clock: Clock, rate: int, labels: dict[str, str]) -> None:
        self.labels = labels
        """What every line is logged with. May be changed at any time."""
        self._fd = fd
        self._clock = clock
        self._rate = rate
        self._window = clock.now().monotonic
        self._budget = rate
        self._dropped = 0
        self._partial = b""
        self._long: dict[str, str] | None = None
        """The labels of a line that is logged in pieces."""
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def close(self) -> None:
        """Log what is left in the pipe and let it go. Closing twice is fine."""
        if self._fd < 0:
            return
        asyncio.get_running_loop().remove_reader(self._fd)
        # Bounded: a grandchild of the app that still prints must not hold up the end of the worker.
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                if not self._read():
                    break
        if self._partial:
            self._log(self._partial)
        self._report_dropped()
        os.close(self._fd)
        self._fd = -1

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not self._read():
                # The end of the file: nobody has the pipe open for writing any more.
                asyncio.get_running_loop().remove_reader(self._fd)

    def _read(self) -> int:
        data = os.read(self._fd, _READ)
        if not self._within_rate(len(data)):
            self._dropped += len(data)
            return len(data)
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._log(line)
        if len(self._partial) > MAX_LINE:
            self._log(self._partial, ends=False)
            self._partial = b""
        return len(data)

    def _within_rate(self, size: int) -> bool:
        now = self._clock.now().monotonic
        if now - self._window >= 1.0:
            self._window, self._budget = now, self._rate
            self._report_dropped()
        # The first piece of a window always passes, so that a rate below one read does not silence an app.
        within = self._budget > 0
        self._budget -= size
        return within

    def _log(self, line: bytes, *, ends: bool = True) -> None:
        text, call_id, trace_id = unmarked(line)
        labels = self._long or self.labels
        if call_id:
            # The app's own word: it could write such a mark itself. Session and worker are not.
            labels = {**self.labels, "call_id": call_id, "trace_id": trace_id}
        self._long = None if ends else labels
        for start in range(0, len(text), MAX_LINE):
            logger.info("%s", text[start : start + MAX_LINE].decode(errors="backslashreplace"), extra=labels)

    def _report_dropped(self) -> None:
        if self._dropped:
            logger.warning(
                "%d bytes of output dropped: more than %d a second", self._dropped, self._rate, extra=self.labels
            )
            self._dropped = 0


def open_pipe(path: Path) -> int:
    """Open a worker's named pipe for reading, before the worker opens its end, and return the descriptor."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
