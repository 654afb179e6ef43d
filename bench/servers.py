"""The processes that are measured: gateways, and what they are compared with. Each is gone at the end of its `with`."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import process_environment
from gateway.testing.process import GatewayProcess
from tools.paths import ROOT

ECHO_APP = ROOT / "bench" / "apps" / "echo"
APP = "echo"

_LISTENING = "listening on "
_STOP = 10.0
"""Seconds that a yardstick has to end once its standard input is closed."""


@contextmanager
def gateway(
    *flags: str,
    apps: Mapping[str, Path] | None = None,
    data_dir: Path | None = None,
    launcher: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[GatewayProcess]:
    """Run `sgw serve` with the trivial app, with its defaults but for these flags, on a free loopback port."""
    with tempfile.TemporaryDirectory(prefix="sgw-bench-") as directory:
        served = {APP: ECHO_APP} if apps is None else apps
        with GatewayProcess(
            data_dir or Path(directory), served, flags, environment=environment, launcher=launcher
        ) as process:
            yield process


@dataclass(frozen=True)
class Yardstick:
    """A running server that the gateway is compared with."""

    address: str
    process: subprocess.Popen[bytes]

    def ask(self, question: object, deadline: float = 120.0) -> Any:
        """Write a line of JSON to its standard input and return what it answers with, a line of JSON as well.

        Raises RuntimeError when no answer comes within `deadline` seconds.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        for line in _lines(self.process, deadline):
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.process.args!r} does not answer")


@contextmanager
def yardstick(
    command: Sequence[str], environment: Mapping[str, str] | None = None, deadline: float = 60.0
) -> Iterator[Yardstick]:
    """Run a server that prints `listening on ADDRESS` and ends when its standard input is closed.

    Raises RuntimeError when it does not listen within `deadline` seconds; the text has what it wrote.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
        )
        try:
            yield Yardstick(_address(process, deadline, log.fileno()), process)
        finally:
            _stop(process)


@contextmanager
def echo() -> Iterator[Yardstick]:
    """Run the bare grpc.aio echo, in the environment of the gateway."""
    command = [sys.executable, "-m", "bench.yardsticks.echo_server"]
    with yardstick(command, process_environment.VARIABLES) as server:
        yield server


def _address(process: subprocess.Popen[bytes], deadline: float, log: int) -> str:
    said = []
    for line in _lines(process, deadline):
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).strip()
        said.append(line)
    complaint = os.pread(log, 1 << 20, 0).decode(errors="replace")[-4000:]
    raise RuntimeError(f"{process.args!r} does not listen: {said} {complaint}")


def _lines(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """Yield what it writes, line by line, for at most `deadline` seconds, and no further than it is read."""
    assert process.stdout is not None
    until = time.monotonic() + deadline
    # Byte by byte: what a buffer holds, select does not see.
    line, descriptor = bytearray(), process.stdout.fileno()
    while (left := until - time.monotonic()) > 0 and select.select([descriptor], [], [], left)[0]:
        byte = os.read(descriptor, 1)
        if not byte:
            return
        line += byte
        if byte == b"\n":
            yield line.decode(errors="replace")
            line.clear()


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
