"""Which processes come from a worker, wherever they have gone: its family.

A process leaves its group and its session with setsid(), its parent by being orphaned, its environment with the next
program. What it cannot leave is a resource limit: that is handed on by every fork and every exec, and only ever goes
down. So each worker carries a mark of its own as the limit of a resource that the kernel has not had since Linux 2.4
(RLIMIT_LOCKS), where it limits nothing and anyone may read it (docs/adr/0017-limits.md).
"""

import contextlib
import ctypes
import hashlib
import os
import resource
import signal
import time
from collections.abc import Collection, Container, Iterable, Iterator
from pathlib import Path

from gateway.timing import FAMILY_PATIENCE, FAMILY_PAUSE

_RLIMIT_LOCKS = 10
_LEAST = 1 << 61
_ROW = b"Max file locks"
_PR_SET_CHILD_SUBREAPER = 36

_LOOKS = 5
"""How often a family must not be found, on a machine where processes are being made all the while, to be gone."""

_libc = ctypes.CDLL(None, use_errno=True)


def mark_of(worker_id: str) -> int:
    """Return the mark of a worker: far above what anyone would set as a limit, different for each."""
    return _LEAST | int.from_bytes(hashlib.sha256(worker_id.encode()).digest()[:7], "big")


def own_mark() -> frozenset[int]:
    """Return the mark that this process carries, if it does."""
    value = resource.getrlimit(_RLIMIT_LOCKS)[0]
    return frozenset({value} if value >= _LEAST else ())


def mark(worker_id: str) -> None:
    """Have this process, and all that it will start, carry the mark of a worker."""
    # Refused where the limit has been lowered from outside: then only the process group tells who belongs together.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(_RLIMIT_LOCKS, (mark_of(worker_id), mark_of(worker_id)))


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def members(marks: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield the processes that carry one of these marks, each with its mark. Zombies are among them."""
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name[0].isdigit():
                found = _mark_on(entry.name)
                if found is not None and found in marks:
                    yield int(entry.name), found


def end_families(marks: Collection[int], spare: int = 0) -> bool:
    """Kill every process that carries one of these marks, but for `spare`, until none is left; also a family that grows
    while it is killed. Returns whether they are gone.
    """
    until = time.monotonic() + FAMILY_PATIENCE
    looks_in_vain = 0
    while time.monotonic() < until:
        newest = _newest_process()
        if _kill_all(marks, spare):
            looks_in_vain = 0
            time.sleep(FAMILY_PAUSE)
            continue
        looks_in_vain += 1
        # Those who were there may have ended, and left children, before the look came to them.
        if looks_in_vain == _LOOKS or newest == _newest_process():
            return True
    return False


def orphaned_marks(worker_ids: Iterable[str], others: Container[int]) -> frozenset[int]:
    """Return the marks of these workers that a child of this process carries; all of them where that cannot be told.

    `others` are children of this process that are workers themselves, and not looked at: there may be thousands.
    """
    marks = frozenset(map(mark_of, worker_ids))
    children = orphans(others)
    return marks if children is None else marks & {_mark_on(child) for child in children}


def orphans(others: Container[int]) -> list[str] | None:
    """Return the children of this process that are not among those; None where that cannot be told."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:
        return None  # a kernel without CONFIG_PROC_CHILDREN
    return [child for child in children if int(child) not in others]


def _kill_all(marks: Collection[int], spare: int) -> int:
    """Kill whoever is found, and return how many were."""
    # A list would be old before its end was reached: each is killed before the next one is looked for.
    return sum(_kill(pid, marks) for pid, _ in members(marks) if pid != spare)


def _kill(pid: int, marks: Collection[int]) -> bool:
    """Kill a process if it carries one of the marks. Returns whether it did, and was not dead already."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # Looked at again behind the descriptor: from here on it is one process, whatever becomes of its number.
        if _mark_on(str(pid)) not in marks or _is_dead(pid):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(pidfd)


def _mark_on(pid: str) -> int | None:
    """Return the mark that a process carries."""
    try:
        descriptor = os.open(f"/proc/{pid}/limits", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    words = text.partition(_ROW)[2].split(None, 1)
    value = int(words[0]) if words and words[0].isdigit() else 0
    return value if value >= _LEAST else None


def _newest_process() -> str:
    """Return the id of the process that was made last: the same one later means that none was made in between."""
    return Path("/proc/loadavg").read_text().split()[4]


def _is_dead(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"
