"""A real Redis for tests: a process of its own in a directory of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAMS = ("redis-server", "valkey-server")

DEADLINE = 10.0


def redis_program() -> str | None:
    """Return the server's program, if it is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class RedisProcess:
    """A Redis on a Unix socket in a directory, which must be short enough for that, and on a loopback port if asked.

    A context manager: at its end the process is gone. What it has written stays in the directory for the next one.
    """

    def __init__(
        self, directory: Path, settings: Sequence[str] = (), *, port: int = 0, config: Path | None = None
    ) -> None:
        """`settings` are further arguments of the program, `config` a file that it reads before, and writes."""
        program = redis_program()
        if program is None:
            raise FileNotFoundError(f"there is none of {', '.join(PROGRAMS)}")
        self.directory = directory
        self.port = port
        self.socket = directory / "redis.sock"
        self._command = [
            program,
            *([str(config)] if config else []),
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(directory),
            "--port",
            str(port),
        ]
        self._command += ["--bind", "127.0.0.1", "--save", "", "--logfile", str(directory / "redis.log"), *settings]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address on the socket."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with its log."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + DEADLINE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                log = self.directory / "redis.log"
                raise RuntimeError(f"Redis did not start: {log.read_text() if log.exists() else self._command}")
            time.sleep(0.01)

    def pause(self) -> None:
        """Have it answer nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it answer again, also what came meanwhile."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL, and wait. Killing twice is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Kill it: what is to be kept is kept by what it writes while it runs."""
        self.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(self.socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False
