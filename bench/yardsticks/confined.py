"""Programs in a network namespace that has nothing but loopback: what they listen on, nobody else can reach."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figure import LeftOut
from bench.servers import Yardstick, yardstick
from tools.paths import ROOT

_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--")
PYTHON = ROOT / ".venv" / "bench" / "bin" / "python"


@contextmanager
def ray_program(module: str, python: Path = PYTHON) -> Iterator[Yardstick]:
    """Run a module of the yardsticks in Ray's environment, confined. Raises LeftOut where that cannot be done."""
    if not python.exists():
        raise LeftOut("Ray is not installed; make bench does that, make bench-quick does not")
    try:
        subprocess.run([*_NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise LeftOut("Ray listens on every interface, and no network namespace can be made to keep it in") from None
    command = [*_NAMESPACE, str(python), "-m", module]
    paths = f"{ROOT}:{ROOT / 'clients' / 'python'}"
    with yardstick(command, {"PYTHONPATH": paths}, deadline=120.0) as server:
        yield server


def beside(server: Yardstick) -> Sequence[str]:
    """Return the launcher of a command that is to run in the namespace of this server."""
    pid = str(server.process.pid)
    return ("nsenter", "--target", pid, "--user", "--preserve-credentials", "--net", "--")
