"""A process on a terminal that tests can look at."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence

import pyte

COLUMNS, ROWS = 100, 60


class PseudoTerminal:
    """Runs a command with all three streams on a terminal of 100 by 60 characters."""

    def __init__(self, command: Sequence[str], variables: dict[str, str]) -> None:
        """Start it, with more environment variables."""
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.raw = b""
        """Everything that was written."""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        """What can be read on the screen now."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make it wider or narrower."""
        with self._lock:
            self._screen.resize(rows, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def mode(self) -> int:
        """The local flags, as termios(3) names them."""
        return int(termios.tcgetattr(self._ours)[3])

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, deadline: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(deadline)
        self._reader.join(deadline)
        return code

    def close(self) -> None:
        """End the process, if it has not."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # nobody has the other end open any more
                return
            with self._lock:
                self.raw += data
                self._stream.feed(data)
