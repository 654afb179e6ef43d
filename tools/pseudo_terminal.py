"""Runs a command on a terminal of its own, so that it writes what people see, and not what scripts get."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ROWS = 200


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    text: str
    """What it wrote to both streams."""


def run_on_terminal(command: Sequence[str], environment: Mapping[str, str], columns: int, deadline: float) -> Done:
    """Run a command to its end, at most `deadline` seconds. Raises subprocess.TimeoutExpired."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        # Standard error is no terminal: what turns there while a call runs would be in the text.
        errors_read, errors_write = os.pipe()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=errors_write, env=dict(environment)
        )
        os.close(theirs)
        os.close(errors_write)
        with os.fdopen(errors_read, "rb") as errors:
            parts: dict[str, bytes] = {}
            reader = threading.Thread(target=lambda: parts.update(out=_read(screen.fileno())))
            reader.start()
            timer = threading.Timer(deadline, process.send_signal, [signal.SIGKILL])
            timer.start()
            parts["err"] = errors.read()
            code = process.wait()
            timer.cancel()
            reader.join()
    if code == -signal.SIGKILL:
        raise subprocess.TimeoutExpired(list(command), deadline)
    return Done(code, (parts["out"] + parts["err"]).decode(errors="replace").replace("\r\n", "\n"))


def _read(descriptor: int) -> bytes:
    content = b""
    # The read fails when nobody has the other end open any more.
    with contextlib.suppress(OSError):
        while data := os.read(descriptor, 65536):
            content += data
    return content
