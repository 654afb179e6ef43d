"""What must be gone when all gateways and sessions have ended."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.timing import ZYGOTE_LINGER
from gateway.workers.runtime import runtime_directory
from tools.chaos.tally import Tally
from tools.fleet.processes_of import mark_on

_SHARED = b"/zyg."
"""In the command of a zygote that actors share, which stays for a moment when the last of them has gone."""

_PATIENCE = 10 * ZYGOTE_LINGER
"""Seconds that those may take on a machine that is busy."""

_PAUSE = 0.05


def count_orphans(data_dirs: Iterable[Path], app: Path, tally: Tally) -> None:
    """Count the directories of workers, and the processes that have to do with the app."""
    for data_dir in data_dirs:
        runtime = runtime_directory(data_dir)
        for entry in runtime.glob("wrk_*") if runtime.exists() else ():
            tally.wrong("orphans", f"directory {entry.name}")
    found = list(_processes(app))
    for pid, command in found:
        if not _is_shared(pid, command):
            _tell(pid, command, tally)
    until = time.monotonic() + _PATIENCE
    while (found := [each for each in _processes(app) if _is_shared(*each)]) and time.monotonic() < until:
        time.sleep(_PAUSE)
    for pid, command in found:
        _tell(pid, command, tally)


def _processes(app: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the ids and commands of zygotes and workers of the app."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"gateway.worker" in command and str(app).encode() in command:
            yield int(process.name), command


def _is_shared(pid: int, command: bytes) -> bool:
    # A worker has the command of its zygote, and a mark of its own.
    return _SHARED in command and mark_on(pid) is None


def _tell(pid: int, command: bytes, tally: Tally) -> None:
    told = command.replace(b"\0", b" ").decode(errors="replace").strip()
    tally.wrong("orphans", f"process {pid}, {_parent_and_mark(pid)}: {told}")


def _parent_and_mark(pid: int) -> str:
    """Return what says where a process comes from."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return "which has ended since"
    return f"a child of {parent}, {'not a worker' if mark_on(pid) is None else 'of a worker'}"
