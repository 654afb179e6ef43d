"""A real gateway as a process of its own, for tests from the outside."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.testing.isolation import isolation
from gateway.testing.store import store_for
from gateway.testing.transport import transport
from gateway.workers.runtime import clear_leftovers, runtime_directory

_SETTINGS = {"SGW_SERVER_TRANSPORT": transport(), "SGW_WORKERS_ISOLATION": isolation()}

_LISTENING = "listening on "


class GatewayProcess:
    """`sgw serve` on a free loopback port. A context manager: at its end the process and all its workers are gone.

    `apps` maps NAME or NAME@VERSION to an app directory; `flags` are further arguments of `sgw serve`. `launcher` is a
    command that becomes the one that follows it, such as one that enters a namespace first.
    """

    def __init__(
        self,
        data_dir: Path,
        apps: Mapping[str, Path] | None = None,
        flags: Sequence[str] = (),
        drain: str = "end",
        environment: Mapping[str, str] | None = None,
        *,
        launcher: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self.address = ""
        self._arguments = ["--listen", "127.0.0.1:0", "--data-dir", str(data_dir), "--drain", drain]
        for name, path in (apps or {}).items():
            self._arguments += ["--app", f"{name}={path}"]
        self._arguments += flags
        self._store = {f"SGW_STORE_{name.upper()}": value for name, value in store_for(data_dir).items()}
        self._environment = environment or {}
        self._launcher = launcher
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._log: list[str] = []
        self._readers: list[threading.Thread] = []

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running.pid

    @property
    def log(self) -> str:
        """What the gateway has logged so far, with the output of its apps."""
        return "".join(self._log)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # What a gateway that was killed, or that kept its sessions, has left running.
        runtime = runtime_directory(self.data_dir)
        if runtime.exists():
            clear_leftovers(runtime)

    def start(self, deadline: float = 30.0) -> None:
        """Start it and wait until it listens, `deadline` seconds at most. Raises RuntimeError with its log."""
        self._lines = queue.Queue()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SGW_")}
        self._process = subprocess.Popen(
            [*self._launcher, sys.executable, "-m", "gateway.cli", "serve", *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, **_SETTINGS, **self._store, **self._environment},
            cwd=tempfile.gettempdir(),
        )
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            line = self._lines.get(timeout=deadline)
        except queue.Empty:
            line = ""
        if not line.startswith(_LISTENING):
            self.kill()
            raise RuntimeError(f"the gateway did not start: {line}{self.log}")
        self.address = line.removeprefix(_LISTENING).strip()

    def wait(self, deadline: float = 30.0) -> int:
        """Wait for the end of the process and return its exit code. Raises TimeoutError with its log."""
        try:
            code = self._running.wait(deadline)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the gateway did not end: {self.log}") from None
        for reader in self._readers:
            reader.join(deadline)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._running.terminate()

    def kill(self) -> None:
        """Send SIGKILL, and wait."""
        self._running.kill()
        self.wait()

    def stop(self) -> int:
        """Drain and stop; kill it if that takes too long. Returns the exit code. Stopping twice is fine."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self.terminate()
        try:
            return self.wait()
        except TimeoutError:
            self.kill()
            raise

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the gateway was not started")
        return self._process

    def _read_output(self) -> None:
        assert self._running.stdout is not None
        with self._running.stdout as stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put("")

    def _read_log(self) -> None:
        assert self._running.stderr is not None
        with self._running.stderr as stream:
            for line in stream:
                self._log.append(line)
