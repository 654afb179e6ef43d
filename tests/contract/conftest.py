"""Pools of local processes, on virtual time."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import WorkerSettings
from gateway.testing.clock import FakeClock
from gateway.testing.pool_suite import StartPool
from gateway.workers.base import WorkerPool
from gateway.workers.local import LocalPool


@pytest.fixture
async def start_pool(short_path: Path, clock: FakeClock) -> AsyncIterator[StartPool]:
    """Start a LocalPool with some settings. At the end nothing of it is left: no worker, directory or open file."""
    pools: list[LocalPool] = []

    async def start(**settings: Any) -> WorkerPool:
        pool = LocalPool(WorkerSettings(**{"min_idle": 0, **settings}), short_path / "run", clock)
        await pool.start()
        pools.append(pool)
        return pool

    before = open_files()
    yield start
    for pool in pools:
        await pool.close()
    assert not (short_path / "run").exists()
    assert open_files() <= before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
