"""Process trees and their memory, from /proc."""

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

_PROC = Path("/proc")


def descendants(pid: int) -> set[int]:
    """Return the processes that descend from this one, without itself, as they are at this moment."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def private_memory(pid: int) -> int:
    """Return the bytes that this process shares with no other; 0 when it is gone."""
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return private_bytes(text)


def private_bytes(smaps_rollup: str) -> int:
    """Return the private bytes that the text of a smaps_rollup adds up to."""
    lines = (line.split() for line in smaps_rollup.splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words[0] in ("Private_Clean:", "Private_Dirty:"))


def tree_memory(pid: int) -> int:
    """Return the private bytes of a process and of all that descend from it."""
    return sum(map(private_memory, {pid, *descendants(pid)}))


def _parent(entry: Path) -> int | None:
    try:
        # The name in parentheses may hold anything, also parentheses.
        return int((entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def command_of(pid: int) -> str:
    """Return the command line of a process, or what it has put in its place; "" when it is gone."""
    try:
        text = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return text.replace(b"\0", b" ").decode(errors="replace").strip()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far, in user and system mode; 0.0 when it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    words = text.rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def stopped(pids: Collection[int]) -> Iterator[None]:
    """Stop these processes for as long as the context lasts: they are there, and take no processor time."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
