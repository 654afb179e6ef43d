"""How long a command line waits before it does anything."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.context import Bench
from bench.figure import Figure, figure
from tools.paths import ROOT

_COMMANDS = {
    "import_sdk": [sys.executable, "-c", "import sessiongateway"],
    "import_client": [sys.executable, "-c", "from sessiongateway import Inference"],
    "sgw_help": [str(Path(sys.executable).parent / "sgw"), "--help"],
}
_BARE = [sys.executable, "-c", "pass"]


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield one figure for each command, all of them alternating with a Python that does nothing."""
    rounds = 7 if bench.settings.quick else 21
    commands = {**_COMMANDS, "bare": _BARE}
    for command in commands.values():
        _timed(command)  # what is on the disk is in memory afterwards, as it is for everybody's second command
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(_timed(command))
    bare = statistics.median(times["bare"])
    for name in _COMMANDS:
        yield figure(name, times[name], bare_python_ms=bare)


def _timed(command: Sequence[str]) -> float:
    """Return the milliseconds of a fresh process from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return 1000 * (time.perf_counter() - began)
