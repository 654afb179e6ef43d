"""What the operating system shows of a gateway: its processes, files and memory."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gateway.testing.waiting import until
from gateway.workers.runtime import runtime_directory

DEADLINE = 15.0
"""Seconds after which a test gives up waiting for what should come at once."""


def descendants(pid: int) -> frozenset[int]:
    """Return the processes below one, zombies too."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _parent(entry)
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    next_ones = [pid]
    while next_ones:
        below = children.get(next_ones.pop(), [])
        found.update(below)
        next_ones += below
    return frozenset(found)


def alive(pids: Iterable[int]) -> frozenset[int]:
    """Return those that are there and no zombies."""
    return frozenset(pid for pid in pids if _state(pid) not in ("", "Z", "X"))


def started_as(name: str) -> list[int]:
    """Return the processes whose command line begins with this, other than dead ones."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes().startswith(name.encode()):
                    found.append(int(entry.name))
            except OSError:
                continue  # it has just ended
    return found


def open_files(pid: int) -> int:
    """Return how many descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - the names need no paths


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds by itself, without what it shares with files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no RssAnon of {pid}")


def worker_directories(data_dir: Path) -> frozenset[str]:
    """Return the names of the directories of workers."""
    try:
        return frozenset(entry.name for entry in runtime_directory(data_dir).iterdir() if entry.name != "lib")
    except FileNotFoundError:
        return frozenset()


def worker_pid(data_dir: Path, worker_id: str) -> int:
    """Return the process of a worker."""
    return int((runtime_directory(data_dir) / worker_id / "pid").read_text().split()[0])


def kill_worker(data_dir: Path, worker_id: str) -> None:
    """Send SIGKILL to the process of a worker."""
    os.kill(worker_pid(data_dir, worker_id), signal.SIGKILL)


def wait_for_exit(pids: Iterable[int], deadline: float = DEADLINE) -> None:
    """Wait until processes, whosever children they are, have ended. Fails the test after the deadline."""
    end = time.monotonic() + deadline
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                pytest.fail(f"process {pid} is still there: {_command(pid)}")
        finally:
            os.close(handle)


async def eventually(what: str, condition: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Wait for something of which the operating system gives no notice. Fails the test after the deadline."""
    try:
        await until(condition, deadline)
    except TimeoutError:
        pytest.fail(f"not within {deadline:g} s: {what}")


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "it has just ended"
