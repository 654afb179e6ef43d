"""SQLite stores on real files, and pools of local processes on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock
from gateway.testing.descriptors import descriptors, none_left
from gateway.testing.isolation import isolation
from gateway.testing.pool_harness import Adopted, StartPool
from gateway.testing.waiting import DEADLINE
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import WorkerLease, WorkerPool
from gateway.workers.local import LocalPool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file of `store` is. Its directory is made by the store."""
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    yield store
    await store.close()


class StartLocalPool(StartPool):
    """Starts pools in one directory."""

    def __init__(self, directory: Path, clock: FakeClock) -> None:
        self._directory = directory
        self._clock = clock
        self._pool: LocalPool | None = None
        self._beside: LocalPool | None = None

    async def __call__(self, **settings: Any) -> WorkerPool:
        await self._new(settings).start()
        return self._started

    async def again(self, leases: Sequence[WorkerLease]) -> Adopted:
        workers = await self._new({}).start(leases)
        return Adopted(self._started, workers)

    async def beside(self) -> WorkerPool:
        # Not started, for that would end what it finds here; workers that are taken over need nothing of it.
        self._beside = self._pool
        return self._new({})

    async def close(self) -> None:
        """Close the last ones, unless the test has done so."""
        there = self._directory.exists()
        for pool in (self._pool, self._beside):
            if pool is not None and there:
                self._directory.mkdir(exist_ok=True)  # which the one before has removed
                async with asyncio.timeout(DEADLINE):
                    await pool.close()

    @property
    def _started(self) -> LocalPool:
        assert self._pool is not None
        return self._pool

    def _new(self, settings: dict[str, Any]) -> LocalPool:
        settings = {"min_idle": 0, "isolation": isolation(), **settings}
        self._pool = LocalPool(WorkerSettings(**settings), self._directory, self._clock)
        return self._pool


@pytest.fixture
async def start_pool(short_path: Path, clock: FakeClock) -> AsyncIterator[StartPool]:
    """Start LocalPools. At the end nothing of them is left: no worker, no directory, no open file."""
    before = descriptors()
    start = StartLocalPool(short_path / "run", clock)
    yield start
    await start.close()
    assert not (short_path / "run").exists()
    await none_left(before)
