"""Machines that go, a driver that ends, a head that does not answer, and those who do not know the key."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import NoWorkerAvailable, RunState, WorkerExit, WorkerLost
from gateway.model import AppVersion, Placement
from gateway.testing.clock import FakeClock, settle
from gateway.testing.pool_harness import MakeApp, PoolFixtures, lease
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.timing import EXIT_PATIENCE
from gateway.workers.base import PoolUnavailable
from gateway.workers.ray.pool import RayPool
from tests.ray.conftest import RayCluster, StartRayPool, started_cluster

LOADED = 3.0
"""Seconds by which a machine that has much else to do may be late."""


@pytest.fixture(scope="module")
def harmed() -> Iterator[RayCluster]:
    """A cluster of its own for tests that take some of it away."""
    cluster = started_cluster()
    yield cluster
    cluster.close()


def on(app: AppVersion, node: int) -> AppVersion:
    """Return the app as one whose workers are all on that node."""
    return replace(app, ray=Placement(resources={f"place{node}": 1}))


class TestTrouble(PoolFixtures):
    @pytest.fixture
    async def start_pool(self, harmed: RayCluster, short_path: Path, clock: FakeClock) -> AsyncIterator[StartRayPool]:
        start = StartRayPool(harmed, short_path / "run", clock)
        yield start
        await start.close()

    async def test_sessions_of_a_machine_that_dies_are_lost_in_time_and_others_never_notice(
        self, harmed: RayCluster, start_pool: StartRayPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool()
        here, there = make_app(name="here"), make_app(name="there")
        safe, doomed = await lease(pool, on(here, 1)), await lease(pool, on(there, 2))
        pid = (await doomed.call())["pid"]
        await safe.call()
        lost: list[WorkerExit] = []
        doomed.worker.when_lost(lost.append)
        await asyncio.to_thread(harmed.order, "kill 2")
        began = time.monotonic()
        while not lost and time.monotonic() - began < DEADLINE:
            assert (await safe.call())["calls"]
        assert lost
        assert time.monotonic() - began < EXIT_PATIENCE + LOADED
        with pytest.raises(WorkerLost) as caught:
            await doomed.call()
        assert caught.value.run_state is RunState.NOT_STARTED
        await until(lambda: not exists(pid))
        assert (await safe.call())["calls"] > 1

    async def test_while_the_head_does_not_answer_new_sessions_are_refused_at_once_and_others_go_on(
        self, harmed: RayCluster, start_pool: StartRayPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        assert isinstance(pool, RayPool)
        leased = await lease(pool, on(app, 1))
        harmed.order("stop head")
        try:
            await until(lambda: not pool.is_available())
            with pytest.raises(PoolUnavailable) as caught:
                await lease(pool, app)
            assert caught.value.run_state is RunState.NOT_STARTED
            assert (await leased.call())["calls"] == 1
        finally:
            harmed.order("go on head")
        await until(pool.is_available)
        assert (await (await lease(pool, app)).call())["calls"] == 1
        assert (await leased.call())["calls"] == 2

    async def test_a_driver_that_dies_is_replaced_and_sessions_go_on(
        self, start_pool: StartRayPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        assert isinstance(pool, RayPool)
        leased = await lease(pool, on(app, 1))
        driver = pool._link._driver._process
        assert driver is not None
        os.kill(driver.pid, signal.SIGKILL)
        await until(lambda: not pool.is_available())
        assert (await leased.call())["calls"] == 1
        await until(pool.is_available)
        assert (await leased.call())["calls"] == 2
        with pytest.raises(WorkerLost) as caught:
            await leased.call("die", code=4)
        assert caught.value.worker_exit == WorkerExit(exit_code=4)  # the new driver tells of workers of the old one
        assert (await (await lease(pool, app)).call())["calls"] == 1

    async def test_a_place_that_ray_cannot_find_is_told_at_the_callers_deadline_and_no_longer_looked_for(
        self, start_pool: StartRayPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool()
        waiting = asyncio.create_task(lease(pool, replace(app, ray=Placement(resources={"nowhere": 1})), timeout=30))
        await settle()
        await clock.advance(30)
        with pytest.raises(NoWorkerAvailable):
            await waiting
        assert isinstance(pool, RayPool)
        await until(lambda: not pool._workers)
