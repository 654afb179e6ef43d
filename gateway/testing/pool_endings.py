"""Tests of worker pools: how workers end, and that nothing of them stays."""

# tests compare with plain numbers

import asyncio
from pathlib import Path

import pytest

from gateway.errors import (
    NoWorkerAvailable,
    WorkerExit,
    WorkerLost,
)
from gateway.model import AppVersion
from gateway.testing.clock import FakeClock, settle
from gateway.testing.gate import Gate
from gateway.testing.pool_apps import OBEDIENT
from gateway.testing.pool_harness import (
    MakeApp,
    PoolFixtures,
    StartPool,
    lease,
    share,
)
from gateway.testing.waiting import DEADLINE, exists, until

LITTLE = 1.0
"""Seconds after which the end of a worker has begun that is ended in turn, when there are few of them."""


class PoolEnding(PoolFixtures):
    """How workers end, and that nothing of them stays."""

    async def test_an_ended_worker_unloads_and_leaves_no_process_and_no_directory(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        pid = (await leased.call())["pid"]
        places = await leased.call("places")
        await leased.call("at_unload", gate=gate.path)
        pool.end(leased.worker)
        assert await gate.arrival() == "unload"
        assert exists(pid)
        pool.end(leased.worker)
        gate.open("unload")
        await until(lambda: pool.holder(leased.worker.id) is None)
        await until(lambda: not exists(pid))
        await until(lambda: not any(Path(places[place]).exists() for place in ("cwd", "tmp")))

    async def test_workers_that_are_ended_in_turn_go_a_little_later_and_one_that_is_ended_without_it_goes_first(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool()
        leased = [await lease(pool, app) for _ in range(3)]
        told: list[WorkerExit] = []
        for each in leased:
            each.worker.when_lost(told.append)
            pool.end(each.worker, "idle_timeout", in_turn=True)
        first = leased[-1].worker
        pool.end(first)
        await until(lambda: pool.holder(first.id) is None)
        await clock.advance(LITTLE)
        await until(lambda: all(pool.holder(each.worker.id) is None for each in leased))
        assert [each.worker.exit for each in leased] == [WorkerExit(exit_code=0)] * 3
        assert told == []

    async def test_an_end_that_was_asked_for_is_no_loss(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        told: list[WorkerExit] = []
        leased.worker.when_lost(told.append)
        pool.end(leased.worker)
        await until(lambda: leased.worker.exit is not None)
        assert leased.worker.exit == WorkerExit(exit_code=0)
        assert told == []

    async def test_an_end_cancels_running_calls(self, start_pool: StartPool, app: AppVersion, gate: Gate) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("hold", gate=gate.path, word="w")
        await gate.arrival()
        pool.end(leased.worker)
        assert await gate.departure() == "w"
        await asyncio.wait([call.reply], timeout=DEADLINE)
        assert call.reply.exception() is not None

    @pytest.mark.parametrize(("stubborn", "killed_by"), [(False, 15), (True, 9)])
    async def test_a_worker_that_outlasts_its_grace_is_sent_sigterm_and_then_sigkill(  # noqa: PLR0917  # fixtures
        self,
        start_pool: StartPool,
        app: AppVersion,
        gate: Gate,
        clock: FakeClock,
        stubborn: bool,
        killed_by: int,
    ) -> None:
        pool = await start_pool(end_grace=50)
        leased = await lease(pool, app)
        pid = (await leased.call())["pid"]
        await leased.call("at_unload", gate=gate.path, stubborn=stubborn)
        pool.end(leased.worker)
        await gate.arrival()
        await clock.advance(49.9)
        assert exists(pid)
        await clock.advance(0.1)
        if stubborn:
            await clock.advance(60)
        await until(lambda: leased.worker.exit is not None)
        assert leased.worker.exit == WorkerExit(signal=killed_by)
        await until(lambda: not exists(pid))

    @pytest.mark.parametrize("how", ["end", "die"])
    async def test_children_of_a_worker_go_with_it(self, start_pool: StartPool, app: AppVersion, how: str) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        child = (await leased.call("bear"))["pid"]
        assert exists(child)
        if how == "end":
            pool.end(leased.worker)
        else:
            with pytest.raises(WorkerLost):
                await leased.call("die", signal=9)
        await until(lambda: not exists(child))

    async def test_ending_a_worker_that_was_lost_is_fine(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        with pytest.raises(WorkerLost):
            await leased.call("die", signal=9)
        pool.end(leased.worker)
        await until(lambda: pool.holder(leased.worker.id) is None)

    async def test_closing_ends_leased_shared_and_ready_workers_and_unloads_them(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool(min_idle=1)
        pool.keep_ready([app])
        leased, shared = await lease(pool, app), await share(pool, app)
        pids = [(await one.call())["pid"] for one in (leased, shared)]
        await until(lambda: pool.idle_workers(app))
        await leased.call("at_unload", gate=gate.path)
        closing = asyncio.create_task(pool.close())
        assert await gate.arrival() == "unload"
        gate.open("unload")
        async with asyncio.timeout(DEADLINE):
            await closing
        assert not any(map(exists, pids))

    async def test_closing_tells_those_who_wait(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(max_workers=1, max_shared=1)
        await lease(pool, app)
        waiting = [asyncio.create_task(ask(pool, app)) for ask in (lease, share, share)]
        await settle()
        async with asyncio.timeout(DEADLINE):
            await pool.close()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {NoWorkerAvailable}

    @pytest.mark.parametrize("where", ["import", "setup"])
    async def test_closing_does_not_wait_for_an_app_that_is_still_starting(
        self, start_pool: StartPool, make_app: MakeApp, gate: Gate, clock: FakeClock, where: str
    ) -> None:
        code = f"hold({gate.path!r}, 'start')"
        app = make_app(OBEDIENT + (f"\n{code}\n" if where == "import" else f"\n    def setup(self): {code}\n"))
        pool = await start_pool(end_grace=5)
        waiting = asyncio.create_task(lease(pool, app))
        await gate.arrival()
        closing = asyncio.create_task(pool.close())
        await clock.advance(10)
        async with asyncio.timeout(DEADLINE):
            await closing
            await asyncio.gather(waiting, return_exceptions=True)
        await gate.departure()
