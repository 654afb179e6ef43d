"""What the machine allows, and what its kernel can do."""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.doctor.finding import Finding, failed, ok, warning

_FILES_PER_WORKER = 3
_FILES_PER_WORKER_ELSEWHERE = 1
"""A connection."""

_FILES_BESIDES = 256
"""Descriptors of the gateway for other things: connections, the store, the listening sockets."""

_IDLE_WORKER = 2.5 * 1024 * 1024
"""Bytes of its own that an idle worker of a trivial app has."""

_PR_GET_CHILD_SUBREAPER = 37
_STRICT = 2
"""Of vm.overcommit_memory."""


def kernel(features: Mapping[str, Callable[[], object]] | None = None) -> Finding:
    """Whether the kernel has what the gateway steers its workers with."""
    missing = []
    for name, use in (_FEATURES if features is None else features).items():
        try:
            use()
        except (OSError, AttributeError) as error:
            missing.append(f"{name} ({getattr(error, 'strerror', None) or 'not known to this Python'})")
    if missing:
        do = "Use Linux 5.3 or newer with /proc mounted; in a container, let its seccomp profile allow these."
        return failed("kernel", f"cannot be used: {', '.join(missing)}", do)
    return ok("kernel", f"Linux {os.uname().release}; {', '.join(_FEATURES)} can be used")


def open_files(max_workers: int, hard: int | None = None, *, elsewhere: bool = False) -> Finding:
    """Whether descriptors suffice for as many workers as the settings allow, be they here or `elsewhere`."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if hard is None else hard
    needed = max_workers * (_FILES_PER_WORKER_ELSEWHERE if elsewhere else _FILES_PER_WORKER) + _FILES_BESIDES
    wanted = f"connections to {max_workers} workers on other machines" if elsewhere else f"{max_workers} workers"
    if limit not in (resource.RLIM_INFINITY, -1) and limit < needed:
        do = f"Raise the hard limit (systemd: LimitNOFILE={needed}), or lower workers.max_workers."
        return warning("open files", f"{limit} may be open, {wanted} need {needed}", do)
    return ok("open files", f"{_number(limit)} may be open, {wanted} need {needed}")


def processes(max_workers: int, limits: Mapping[str, int] | None = None) -> Finding:
    """Whether as many processes may run as the settings allow. `limits` has each limit that there is."""
    found = process_limits() if limits is None else limits
    needed = max_workers + 64
    low = {name: limit for name, limit in found.items() if limit < needed}
    if low:
        told = ", ".join(f"{name} is {limit}" for name, limit in low.items())
        do = "Raise it (systemd: TasksMax=, LimitNPROC=; a container: its pids limit), or lower workers.max_workers."
        return warning("processes", f"{told}, {max_workers} workers need {needed}", do)
    return ok("processes", f"{max_workers} workers are within the limits")


def memory(max_workers: int, available: int | None = None, overcommit: int | None = None) -> Finding:
    """Whether memory suffices for as many idle workers. `available` in bytes, for this machine or container."""
    free = available_memory() if available is None else available
    policy = int(_read("/proc/sys/vm/overcommit_memory") or 0) if overcommit is None else overcommit
    needed = int(max_workers * _IDLE_WORKER)
    told = f"{_size(free)} available, {max_workers} idle workers of a trivial app take {_size(needed)}"
    if free < needed:
        return warning("memory", told, "Lower workers.max_workers to what your apps leave room for, or add memory.")
    if policy == _STRICT:
        do = "Set vm.overcommit_memory to 0 or 1, or reckon with the whole of an app's memory for each of its workers."
        return warning("memory", f"{told}; but the kernel counts what forked workers share for each of them", do)
    return ok("memory", told)


def processors(wanted: int, there: int | None = None) -> Finding:
    """Whether there are processors for all gateway processes."""
    count = len(os.sched_getaffinity(0)) if there is None else there
    if wanted > count:
        do = "Lower processes: more than there are processors cost, and gain nothing."
        return warning("processors", f"{wanted} gateway processes share {count} processors", do)
    return ok("processors", f"{count}, for {wanted} gateway processes")


def process_limits() -> dict[str, int]:
    """Return every limit on processes that holds here."""
    found = {}
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and os.getuid() != 0:
        found["the limit of processes of this user"] = soft
    for name, path in (("kernel.pid_max", "/proc/sys/kernel/pid_max"), ("pids.max", _own_group("pids.max"))):
        text = _read(path)
        if text.isdecimal():
            found[name] = int(text)
    return found


def available_memory() -> int:
    """Return the bytes that programs can have now, on this machine and in this control group."""
    lines = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    free = int(lines.get("MemAvailable", "0 kB").split()[0]) * 1024
    limit, used = _read(_own_group("memory.max")), _read(_own_group("memory.current"))
    return min(free, int(limit) - int(used)) if limit.isdecimal() and used.isdecimal() else free


def _own_group(file: str) -> str:
    group = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    return f"/sys/fs/cgroup{group.rstrip('/')}/{file}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _use_pidfd() -> None:
    descriptor = os.pidfd_open(os.getpid())
    try:
        signal.pidfd_send_signal(descriptor, 0)
    finally:
        os.close(descriptor)


def _use_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(ctypes.c_int()), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


_FEATURES: Mapping[str, Callable[[], object]] = {
    "pidfd": _use_pidfd,
    "memfd": lambda: os.close(os.memfd_create("doctor", os.MFD_CLOEXEC)),
    "child subreaper": _use_subreaper,
    "/proc": lambda: Path(f"/proc/self/task/{os.getpid()}/children").read_bytes(),
    "CLOCK_BOOTTIME": lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
}


def _number(limit: int) -> str:
    return "any number" if limit in (resource.RLIM_INFINITY, -1) else str(limit)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
