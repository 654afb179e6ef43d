"""Which processes there are below one, and which of them are workers."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

_MARK_ROW = "Max file locks"
_LEAST_MARK = 1 << 61


def below(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it has just ended
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def children_of(pid: int) -> list[int]:
    """Return the processes that one has started and that have not ended."""
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def mark_on(pid: int) -> int | None:
    """Return the mark that a worker's process carries (see `gateway.worker.family`); None for others."""
    try:
        rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
    except OSError:
        return None
    soft = next((row.removeprefix(_MARK_ROW).split()[0] for row in rows if row.startswith(_MARK_ROW)), "")
    return int(soft) if soft.isdecimal() and int(soft) >= _LEAST_MARK else None


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
