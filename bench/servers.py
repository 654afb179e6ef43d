"""The processes that are measured: gateways, and what they are compared with. Each is gone at the end of its `with`."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

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
    *flags: str, apps: Mapping[str, Path] | None = None, data_dir: Path | None = None
) -> Iterator[GatewayProcess]:
    """Run `sgw serve` with the trivial app, with its defaults but for these flags, on a free loopback port."""
    with tempfile.TemporaryDirectory(prefix="sgw-bench-") as directory:
        served = {APP: ECHO_APP} if apps is None else apps
        with GatewayProcess(data_dir or Path(directory), served, flags) as process:
            yield process


@contextmanager
def yardstick(
    command: Sequence[str], environment: Mapping[str, str] | None = None, deadline: float = 60.0
) -> Iterator[str]:
    """Run a server that prints `listening on HOST:PORT` and ends when its standard input is closed. Yields HOST:PORT.

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
            yield _address(process, deadline, log.fileno())
        finally:
            _stop(process)


@contextmanager
def echo() -> Iterator[str]:
    """Run the bare grpc.aio echo, in the environment of the gateway. Yields its address."""
    command = [sys.executable, "-m", "bench.yardsticks.echo_server"]
    with yardstick(command, process_environment.VARIABLES) as address:
        yield address


def _address(process: subprocess.Popen[bytes], deadline: float, log: int) -> str:
    assert process.stdout is not None
    until = time.monotonic() + deadline
    # Libraries may print lines of their own before; the descriptor is read without a buffer that select cannot see.
    output, descriptor = b"", process.stdout.fileno()
    while (left := until - time.monotonic()) > 0 and select.select([descriptor], [], [], left)[0]:
        chunk = os.read(descriptor, 4096)
        output += chunk
        for line in output.decode(errors="replace").splitlines(keepends=True):
            if line.startswith(_LISTENING) and line.endswith("\n"):
                return line.removeprefix(_LISTENING).strip()
        if not chunk:
            break
    said = os.pread(log, 1 << 20, 0).decode(errors="replace")[-4000:]
    raise RuntimeError(f"{process.args!r} does not listen: {output.decode(errors='replace')}{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
