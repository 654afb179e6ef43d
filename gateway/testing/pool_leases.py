"""Tests of worker pools: starting workers, and leasing them."""

# ruff: noqa: PLR2004  # tests compare with plain numbers

import asyncio
import json

import pytest

from gateway.errors import (
    AppStartFailed,
    NoWorkerAvailable,
    RunState,
    WorkerLeased,
    WorkerNotFound,
)
from gateway.model import AppVersion
from gateway.testing.clock import FakeClock, settle
from gateway.testing.gate import Gate
from gateway.testing.pool_apps import BROKEN, OBEDIENT
from gateway.testing.pool_harness import (
    PATIENCE,
    Leased,
    MakeApp,
    PoolFixtures,
    StartPool,
    lease,
    share,
)
from gateway.testing.waiting import DEADLINE, until


class PoolStarting(PoolFixtures):
    """Descriptions, and apps that do not start."""

    async def test_an_app_is_described_by_its_functions_in_order_of_their_names(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        functions = await pool.describe(app, timeout=PATIENCE)
        names = [function.name for function in functions]
        assert names == sorted(names)
        assert {"run", "kept", "hold"} <= set(names)
        assert {"setup", "unload"}.isdisjoint(names)
        (run,) = [function for function in functions if function.name == "run"]
        assert run.description == "Count the calls."
        assert json.loads(run.input_schema)["type"] == "object"

    async def test_an_import_that_takes_too_long_for_the_asker_goes_on_for_the_next(
        self, start_pool: StartPool, make_app: MakeApp, gate: Gate, clock: FakeClock
    ) -> None:
        source = OBEDIENT + f"\nhold({gate.path!r}, 'import')\n"
        app = make_app(source)
        pool = await start_pool()
        asked = asyncio.create_task(pool.describe(app, timeout=10))
        assert await gate.arrival() == "import"
        await clock.advance(9.9)
        assert not asked.done()
        await clock.advance(0.1)
        with pytest.raises(NoWorkerAvailable):
            await asked
        again = asyncio.create_task(pool.describe(app, timeout=PATIENCE))
        gate.open("import")
        assert await again
        assert gate.nobody_came()

    @pytest.mark.parametrize("wrong", BROKEN)
    async def test_an_app_that_does_not_start_is_told_with_the_reason(
        self, start_pool: StartPool, make_app: MakeApp, wrong: str
    ) -> None:
        source, kind, text = BROKEN[wrong]
        app = make_app(source, name="broken")
        pool = await start_pool()
        for ask in (lease, share):
            with pytest.raises(AppStartFailed) as caught:
                await ask(pool, app)
            error = caught.value
            assert error.run_state is RunState.NOT_STARTED
            assert error.failure is not None
            assert error.failure.type == kind or (self.start_method == "spawn" and error.failure.type == "SystemExit")
            if self.start_method == "fork":
                assert text in error.failure.message
            assert error.metadata["app"] == "broken"

    async def test_everyone_who_waits_for_an_app_that_does_not_start_hears_of_it(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        app = make_app(BROKEN["a setup that raises"][0], name="broken", concurrency=2)
        pool = await start_pool(max_shared=2)
        async with asyncio.timeout(DEADLINE):
            outcomes = await asyncio.gather(
                *(share(pool, app) for _ in range(7)), *(lease(pool, app) for _ in range(3)), return_exceptions=True
            )
        assert {type(outcome) for outcome in outcomes} == {AppStartFailed}

    async def test_an_app_that_is_mended_starts_at_the_next_call(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        app = make_app(BROKEN["an import that raises"][0])
        pool = await start_pool()
        with pytest.raises(AppStartFailed):
            await lease(pool, app)
        (app.directory / "app.py").write_text(OBEDIENT)
        assert (await (await lease(pool, app)).call())["calls"] == 1


class PoolLeasing(PoolFixtures):
    """Leases: fresh, whole, and nobody else's."""

    async def test_a_leased_worker_is_fresh_and_keeps_its_state(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        first, second = await leased.call(), await leased.call()
        assert (first["calls"], second["calls"]) == (1, 2)
        assert first["pid"] == second["pid"]

    async def test_nothing_crosses_from_one_lease_to_another(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        one, two = await lease(pool, app), await lease(pool, app)
        await one.call("keep", text="mine")
        assert (await one.call("kept"))["files"] == ["kept", "kept"]
        assert await two.call("kept") == {"state": {}, "files": [], "environment": None}
        places = [await leased.call("places") for leased in (one, two)]
        assert places[0]["cwd"] != places[1]["cwd"]
        assert places[0]["tmp"] != places[1]["tmp"]
        pool.end(one.worker)
        three = await lease(pool, app)
        assert await three.call("kept") == {"state": {}, "files": [], "environment": None}
        assert len({(await leased.call())["pid"] for leased in (two, three)}) == 2

    async def test_a_call_with_another_session_or_epoch_is_refused_as_not_started(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        for session_id, epoch in ((leased.session_id, 6), ("sess_other", 7), ("", 0)):
            with pytest.raises(WorkerLeased) as caught:
                await Leased(leased.worker, session_id, epoch).call()
            assert caught.value.run_state is RunState.NOT_STARTED
        assert (await leased.call())["calls"] == 1

    async def test_a_ready_worker_can_be_asked_for_by_its_id(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(min_idle=2)
        pool.keep_ready([app])
        await until(lambda: len(pool.idle_workers(app)) == 2)
        wanted = pool.idle_workers(app)[1]
        assert pool.holder(wanted) == ""
        leased = await lease(pool, app, worker_id=wanted)
        assert leased.worker.id == wanted
        assert pool.holder(wanted) == leased.session_id
        assert wanted not in pool.idle_workers(app)

    async def test_a_worker_that_cannot_be_had_is_not_waited_for(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp
    ) -> None:
        pool = await start_pool(min_idle=1)
        other = make_app(name="other")
        pool.keep_ready([other])
        await until(lambda: pool.idle_workers(other))
        leased, shared = await lease(pool, app), await share(pool, app)
        with pytest.raises(WorkerLeased):
            await lease(pool, app, worker_id=leased.worker.id)
        for worker_id in ("wrk_none", shared.worker.id, pool.idle_workers(other)[0]):
            with pytest.raises(WorkerNotFound):
                await lease(pool, app, worker_id=worker_id)
        pool.end(leased.worker)
        await until(lambda: pool.holder(leased.worker.id) is None)
        with pytest.raises(WorkerNotFound):
            await lease(pool, app, worker_id=leased.worker.id)

    async def test_those_who_wait_are_served_in_the_order_in_which_they_came(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp
    ) -> None:
        pool = await start_pool(max_workers=1)
        other = make_app(name="other")
        holding = await lease(pool, app)
        served: list[int] = []

        async def wait(number: int, wanted: AppVersion) -> None:
            leased = await lease(pool, wanted)
            served.append(number)
            pool.end(leased.worker)

        waiting = [asyncio.create_task(wait(number, (app, other)[number % 2])) for number in range(5)]
        await settle()
        assert served == []
        pool.end(holding.worker)
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*waiting)
        assert served == [0, 1, 2, 3, 4]

    async def test_owners_who_wait_take_turns(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(max_workers=1)
        holding = await lease(pool, app)
        served: list[str] = []

        async def wait(name: str) -> None:
            leased = await lease(pool, app, owner=name[0])
            served.append(name)
            pool.end(leased.worker)

        waiting = [asyncio.create_task(wait(name)) for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1")]
        await settle()
        pool.end(holding.worker)
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*waiting)
        assert served == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]

    async def test_a_ready_worker_of_another_app_gives_way_to_one_who_waits(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp
    ) -> None:
        pool = await start_pool(max_workers=2, min_idle=2)
        pool.keep_ready([app])
        await until(lambda: len(pool.idle_workers(app)) == 2)
        async with asyncio.timeout(DEADLINE):
            assert (await (await lease(pool, make_app(name="other"))).call())["calls"] == 1

    async def test_a_shared_worker_that_nobody_uses_gives_way_to_one_who_waits(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_workers=1)
        pool.release_shared((await share(pool, app)).worker)
        async with asyncio.timeout(DEADLINE):
            assert (await (await lease(pool, app)).call())["calls"] == 1

    async def test_one_who_waited_in_vain_is_told_after_the_timeout_and_not_before(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(max_workers=1)
        await lease(pool, app)
        waiting = asyncio.create_task(lease(pool, app, timeout=30))
        await clock.advance(29.999)
        assert not waiting.done()
        await clock.advance(0.001)
        with pytest.raises(NoWorkerAvailable) as caught:
            await waiting
        assert caught.value.retry_after is not None
        assert caught.value.run_state is RunState.NOT_STARTED

    async def test_one_who_is_cancelled_while_waiting_leaves_nothing_behind(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_workers=1)
        holding = await lease(pool, app)
        first, second = (asyncio.create_task(lease(pool, app)) for _ in range(2))
        await settle()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        pool.end(holding.worker)
        async with asyncio.timeout(DEADLINE):
            assert (await (await second).call())["calls"] == 1

    async def test_kept_ready_are_as_many_as_asked_for_also_after_a_lease(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(min_idle=2)
        pool.keep_ready([app])
        await until(lambda: len(pool.idle_workers(app)) == 2)
        leased = await lease(pool, app)
        await until(lambda: len(pool.idle_workers(app)) == 2)
        assert leased.worker.id not in pool.idle_workers(app)

    async def test_a_ready_worker_that_dies_is_replaced_and_never_leased(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(min_idle=1)
        pool.keep_ready([app])
        await until(lambda: pool.idle_workers(app))
        (first,) = pool.idle_workers(app)
        leased = await lease(pool, app)
        await until(lambda: pool.idle_workers(app))
        (second,) = pool.idle_workers(app)
        assert leased.worker.id == first != second

    async def test_workers_of_a_version_that_is_no_longer_current_go_when_unused(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp, clock: FakeClock
    ) -> None:
        pool = await start_pool(min_idle=1, shared_idle=100)
        pool.keep_ready([app])
        await until(lambda: pool.idle_workers(app))
        (old,) = pool.idle_workers(app)
        pool.keep_ready([make_app(name="newer")])
        await clock.advance(130)
        await until(lambda: pool.holder(old) is None)
        assert pool.idle_workers(app) == []
