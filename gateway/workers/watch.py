"""The limits that no single process can be held to: what a worker's processes take together, and what its files do.

They are measured now and then, in a thread, and only while there are workers whose apps set such limits. After each
look there is a rest, which is longer after a dear one: the looking never takes more than a small share of a processor.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from gateway.clock import Clock, Timer
from gateway.model import AppVersion, Limits
from gateway.timing import DISK_WATCH, FAMILY_WATCH
from gateway.worker.family import mark_of, members
from gateway.worker.process import WorkerDirectory

logger = logging.getLogger("gateway.workers")

_REST = 50
"""How much longer the rest after a look is, at least, than the processor was busy with it: at most 2 % of one."""

_BLOCK = 512
"""Bytes of the unit in which the file system counts (stat(2)). An empty file counts as one."""


class Watched(Protocol):
    """What is watched of a worker."""

    @property
    def id(self) -> str:
        """The worker's id."""

    @property
    def app(self) -> AppVersion:
        """Its app, with the limits."""

    @property
    def directory(self) -> WorkerDirectory:
        """Where its files are."""

    @property
    def own_processes(self) -> int:
        """How many of its processes are not the app's doing."""

    def exceed(self, limit: str) -> None:
        """It has gone beyond that limit."""


Measure = Callable[[Sequence[Watched]], Mapping[str, str]]
"""Returns the workers that exceed a limit, by id, each with the limit. Runs in a thread."""


class LimitWatch:
    """Has workers killed that exceed what their apps allow."""

    def __init__(self, clock: Clock) -> None:
        self._rounds = [
            _Round(clock, FAMILY_WATCH, _limits_families, families_beyond),
            _Round(clock, DISK_WATCH, _limits_disk, directories_beyond),
        ]

    def add(self, worker: Watched) -> None:
        """Watch a worker, if there is anything to be watched."""
        for each in self._rounds:
            each.add(worker)

    def remove(self, worker: Watched) -> None:
        """Forget a worker."""
        for each in self._rounds:
            each.remove(worker)

    async def close(self) -> None:
        """Stop looking."""
        for each in self._rounds:
            await each.close()


class _Round:
    """One kind of look, again and again."""

    def __init__(self, clock: Clock, interval: float, applies: Callable[[Limits], bool], measure: Measure) -> None:
        self._clock = clock
        self._interval = interval
        self._applies = applies
        self._measure = measure
        self._workers: dict[str, Watched] = {}
        # One of its own: the others may all be busy deleting large directories.
        self._thread = ThreadPoolExecutor(1, "limits")
        self._timer: Timer | None = None
        self._look: asyncio.Task[None] | None = None

    def add(self, worker: Watched) -> None:
        if self._applies(worker.app.limits):
            self._workers[worker.id] = worker
            if self._timer is None:
                self._rest(self._interval)

    def remove(self, worker: Watched) -> None:
        self._workers.pop(worker.id, None)

    async def close(self) -> None:
        if self._look is not None:
            await self._look
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown()

    def _rest(self, seconds: float) -> None:
        self._timer = self._clock.call_later(seconds, self._begin)

    def _begin(self) -> None:
        if self._workers:
            self._look = asyncio.get_running_loop().create_task(self._looked())
        else:
            self._timer = None

    async def _looked(self) -> None:
        try:
            beyond, cost = await asyncio.get_running_loop().run_in_executor(
                self._thread, _timed, self._measure, list(self._workers.values())
            )
        except Exception:
            logger.exception("the limits of workers cannot be watched")
            beyond, cost = {}, 0.0
        for worker_id, limit in beyond.items():
            worker = self._workers.get(worker_id)
            if worker is not None:
                worker.exceed(limit)
        self._rest(max(self._interval, _REST * cost))


def _timed(measure: Measure, workers: Sequence[Watched]) -> tuple[Mapping[str, str], float]:
    """Return what was measured, and how many seconds of a processor that took."""
    began = time.thread_time()
    beyond = measure(workers)
    return beyond, time.thread_time() - began


def _limits_families(limits: Limits) -> bool:
    return limits.memory is not None or limits.processes is not None


def _limits_disk(limits: Limits) -> bool:
    return limits.disk is not None


def families_beyond(workers: Iterable[Watched]) -> Mapping[str, str]:
    """Return the workers that have started too many processes, or that hold too much memory together with those."""
    by_mark = {mark_of(worker.id): worker for worker in workers}
    families: dict[int, list[int]] = {}
    for pid, mark in members(by_mark):
        families.setdefault(mark, []).append(pid)
    beyond = {}
    for mark, pids in families.items():
        worker = by_mark[mark]
        limits = worker.app.limits
        if limits.processes is not None and len(pids) - worker.own_processes > limits.processes:
            beyond[worker.id] = "processes"
        elif limits.memory is not None and _memory(pids, limits.memory) > limits.memory:
            beyond[worker.id] = "memory"
    return beyond


def directories_beyond(workers: Iterable[Watched]) -> Mapping[str, str]:
    """Return the workers whose working and temporary directories hold too much."""
    return {
        worker.id: "disk"
        for worker in workers
        if worker.app.limits.disk is not None
        and size_of((worker.directory.work, worker.directory.temporary), worker.app.limits.disk)
        > worker.app.limits.disk
    }


def size_of(directories: Iterable[Path], enough: int) -> int:
    """Return the bytes that directories take on the disk, or something beyond `enough` if it is more."""
    total = 0
    linked: set[tuple[int, int]] = set()
    left = [str(directory) for directory in directories]
    while left and total <= enough:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (status.st_dev, status.st_ino) in linked:
                            continue
                        linked.add((status.st_dev, status.st_ino))
                    total += max(status.st_blocks, 1) * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            continue  # gone meanwhile, or closed to us
    return total


def _memory(pids: Sequence[int], enough: int) -> int:
    """Return the bytes of memory that processes hold together, files apart; exactly only if it may be too much."""
    # Pages that several of them share are counted for each here, which costs a quarter of counting them right.
    most = sum(_kilobytes(pid, "status", _IN_STATUS) for pid in pids) * 1024
    if most <= enough:
        return most
    return sum(_kilobytes(pid, "smaps_rollup", _IN_ROLLUP) for pid in pids) * 1024


_IN_STATUS = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s*(\d+)", re.MULTILINE)
_IN_ROLLUP = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s*(\d+)", re.MULTILINE)


def _kilobytes(pid: int, file: str, what: re.Pattern[bytes]) -> int:
    try:
        descriptor = os.open(f"/proc/{pid}/{file}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0  # it has ended
    try:
        return sum(map(int, what.findall(os.read(descriptor, 16384))))
    except OSError:
        return 0
    finally:
        os.close(descriptor)
