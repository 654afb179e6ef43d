"""Tests of worker pools: shared workers, and calls."""

# ruff: noqa: PLR2004  # tests compare with plain numbers

import asyncio
import json
from typing import Any

import pytest

from gateway.errors import (
    AppError,
    FunctionNotFound,
    InvalidRequest,
    NoWorkerAvailable,
    RunState,
    WorkerExit,
    WorkerLost,
    WorkerNotFound,
)
from gateway.model import AppVersion
from gateway.testing.clock import FakeClock, settle
from gateway.testing.gate import Gate
from gateway.testing.pool_harness import (
    EPOCH,
    MakeApp,
    PoolFixtures,
    StartPool,
    answer,
    lease,
    share,
)
from gateway.testing.waiting import DEADLINE, until
from gateway.trace import TraceContext
from gateway.workers.base import WorkerCall


class PoolSharing(PoolFixtures):
    """Shared workers."""

    async def test_a_shared_worker_stays_warm_and_is_leased_to_nobody(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        first = await share(pool, app)
        assert (await first.call())["calls"] == 1
        pool.release_shared(first.worker)
        second = await share(pool, app)
        assert (await second.call())["calls"] == 2
        pool.release_shared(second.worker)
        leased = await lease(pool, app)
        assert leased.worker.id != first.worker.id
        assert (await leased.call())["calls"] == 1
        assert pool.holder(first.worker.id) == ""
        assert first.worker.id not in pool.idle_workers(app)

    async def test_each_shared_worker_has_as_many_calls_as_the_app_says(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool(max_shared=2)
        app = make_app(concurrency=2)
        places = [await share(pool, app) for _ in range(4)]
        ids = [place.worker.id for place in places]
        assert {id: ids.count(id) for id in ids} == dict.fromkeys(ids, 2)
        waiting = asyncio.create_task(share(pool, app))
        await settle()
        assert not waiting.done()
        pool.release_shared(places[3].worker)
        assert (await waiting).worker is places[3].worker

    async def test_one_who_waited_in_vain_for_a_place_is_told_after_the_timeout(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(max_shared=1)
        await share(pool, app)
        waiting = asyncio.create_task(share(pool, app, timeout=5))
        await clock.advance(4.999)
        assert not waiting.done()
        await clock.advance(0.001)
        with pytest.raises(NoWorkerAvailable):
            await waiting

    async def test_one_who_gives_up_waiting_for_a_place_does_not_take_the_others_with_it(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(max_workers=1, max_shared=1)
        holding = await lease(pool, app)
        hasty, patient = (asyncio.create_task(share(pool, app, timeout)) for timeout in (5, 30))
        await settle()
        await clock.advance(5)
        with pytest.raises(NoWorkerAvailable):
            await hasty
        assert not patient.done()
        pool.end(holding.worker)
        async with asyncio.timeout(DEADLINE):
            assert (await (await patient).call())["calls"] == 1

    async def test_owners_who_wait_for_a_place_take_turns(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(max_shared=1)
        holding = await share(pool, app)
        served: list[str] = []

        async def wait(name: str) -> None:
            worker = await pool.acquire_shared(app, owner=name[0], timeout=DEADLINE)
            served.append(name)
            pool.release_shared(worker)

        waiting = [asyncio.create_task(wait(name)) for name in ("a1", "a2", "a3", "b1")]
        await settle()
        pool.release_shared(holding.worker)
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*waiting)
        assert served == ["a1", "b1", "a2", "a3"]

    async def test_one_who_is_cancelled_while_waiting_for_a_place_takes_none(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        first, second = (asyncio.create_task(share(pool, app)) for _ in range(2))
        await settle()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        pool.release_shared(place.worker)
        assert (await second).worker is place.worker

    async def test_a_place_given_to_one_who_is_cancelled_at_that_moment_goes_to_the_next(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        first, second = (asyncio.create_task(share(pool, app)) for _ in range(2))
        await settle()
        pool.release_shared(place.worker)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        async with asyncio.timeout(DEADLINE):
            assert (await second).worker is place.worker

    async def test_a_place_that_is_given_back_when_one_has_just_been_cancelled_goes_to_the_next(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        first, second = (asyncio.create_task(share(pool, app)) for _ in range(2))
        await settle()
        first.cancel()
        pool.release_shared(place.worker)
        async with asyncio.timeout(DEADLINE):
            assert (await second).worker is place.worker

    async def test_a_shared_worker_that_dies_is_replaced_also_for_those_who_wait(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        waiting = asyncio.create_task(share(pool, app))
        await settle()
        dying = place.begin("die", signal=9)
        dying.when_done(lambda: pool.release_shared(place.worker))
        with pytest.raises(WorkerLost):
            await answer(dying)
        async with asyncio.timeout(DEADLINE):
            replaced = await waiting
        assert (await replaced.call())["calls"] == 1

    async def test_shared_workers_end_for_want_of_use(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(shared_idle=100)
        idle, busy = await share(pool, app), await share(pool, app)
        pool.release_shared(idle.worker)
        await clock.advance(90)
        assert pool.holder(idle.worker.id) == ""
        await clock.advance(60)
        await until(lambda: pool.holder(idle.worker.id) is None)
        assert pool.holder(busy.worker.id) == ""


class PoolCalling(PoolFixtures):
    """Calls, and workers that die under them."""

    async def test_calls_fail_as_the_contract_says_and_the_worker_lives_on(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        with pytest.raises(AppError) as caught:
            await leased.call("fail", text="oh")
        assert (caught.value.run_state, caught.value.metadata["exceptionType"]) == (RunState.COMPLETED, "ValueError")
        with pytest.raises(FunctionNotFound) as missing:
            await leased.call("nothing")
        assert missing.value.run_state is RunState.NOT_STARTED
        for bad in (b"", b"[1]", b"{", b"\xff"):
            call = leased.worker.call(WorkerCall("run", bad, False, leased.session_id, 7))
            if not bad:
                await answer(call)
                continue
            with pytest.raises(InvalidRequest) as malformed:
                await answer(call)
            assert malformed.value.run_state is RunState.NOT_STARTED
        assert (await leased.call())["calls"] == 2

    async def test_an_app_knows_the_trace_of_its_call_and_of_none_where_there_is_none(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app)
        parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        for context, told in (
            (TraceContext(parent, "a=1", "b=2"), [parent, "a=1", "b=2"]),
            (TraceContext("", baggage="b=2"), [None, None, "b=2"]),
            (None, [None, None, None]),
        ):
            call = WorkerCall("told", b"{}", False, leased.session_id, EPOCH, trace=context)
            assert json.loads(await answer(leased.worker.call(call))) == {"trace": told}

    async def test_an_output_that_nobody_would_pass_on_is_the_functions_error(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app)
        for size, fails in ((10, False), (200, True)):
            payload = json.dumps({"outputs": 1, "size": size}).encode()
            call = leased.worker.call(
                WorkerCall("yield_some", payload, session_id=leased.session_id, epoch=7, max_output=100)
            )
            if not fails:
                await answer(call)
                continue
            with pytest.raises(AppError) as caught:
                await answer(call)
            assert caught.value.run_state is RunState.COMPLETED
            assert caught.value.failure is not None
            assert caught.value.failure.type == "OutputTooLarge"
        assert (await leased.call())["calls"] == 1

    async def test_a_coroutine_that_is_cancelled_sees_it_and_the_call_is_done(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("hold", gate=gate.path, word="w")
        await gate.arrival()
        done = asyncio.Event()
        call.when_done(done.set)
        call.cancel()
        async with asyncio.timeout(DEADLINE):
            await done.wait()
        with pytest.raises(AppError):
            await call.reply
        assert (await leased.call("kept"))["state"] == {"cancelled": "w"}
        again = asyncio.Event()
        call.when_done(again.set)
        assert again.is_set()
        call.cancel()

    async def test_a_call_that_is_cancelled_before_its_function_began_has_not_run(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        first = leased.begin("block", gate=gate.path, word="w")
        await gate.arrival()
        # The worker hears of both at once, when the first call lets it.
        call = leased.begin("hold", gate=gate.path, word="never")
        done = asyncio.Event()
        call.when_done(done.set)
        call.cancel()
        gate.open("w")
        async with asyncio.timeout(DEADLINE):
            await done.wait()
            await first.reply
        assert (first.ran, call.ran) == (True, False)
        assert (await leased.call("kept"))["state"] == {"blocked": True}

    async def test_a_plain_function_that_is_cancelled_runs_to_its_end(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("block", gate=gate.path, word="w")
        await gate.arrival()
        call.cancel()
        gate.open("w")
        await asyncio.wait([call.reply], timeout=DEADLINE)
        assert (await leased.call("kept"))["state"] == {"blocked": True}

    async def test_an_abandoned_call_is_answered_at_once_and_done_when_the_function_is(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("block", gate=gate.path, word="w")
        await gate.arrival()
        done: list[str] = []
        call.when_done(lambda: done.append("done"))
        call.abandon(WorkerNotFound.of("x"))
        with pytest.raises(WorkerNotFound):
            await call.reply
        assert done == []
        gate.open("w")
        await leased.call()
        assert done == ["done"]

    async def test_an_answer_that_is_there_is_not_replaced_by_abandoning(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        call = (await lease(pool, app)).begin()
        output = await answer(call)
        call.abandon(WorkerNotFound.of("x"))
        assert await call.reply == output

    @pytest.mark.parametrize(
        ("how", "exit_"),
        [
            ({"signal": 9}, WorkerExit(signal=9)),
            ({"signal": 11}, WorkerExit(signal=11)),
            ({"code": 0}, WorkerExit(exit_code=0)),
            ({"code": 200}, WorkerExit(exit_code=200)),
            ({"exit": 3}, WorkerExit(exit_code=3)),
            ({"exit": "words"}, WorkerExit(exit_code=1)),
        ],
    )
    async def test_a_worker_that_dies_says_how(
        self, start_pool: StartPool, app: AppVersion, how: dict[str, Any], exit_: WorkerExit
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        told: list[WorkerExit] = []
        leased.worker.when_lost(told.append)
        with pytest.raises(WorkerLost) as caught:
            await leased.call("die", **how)
        assert (caught.value.run_state, caught.value.worker_exit) == (RunState.UNKNOWN, exit_)
        assert leased.worker.exit == exit_
        assert told == [exit_]
        leased.worker.when_lost(told.append)
        assert told == [exit_, exit_]
        with pytest.raises(WorkerLost) as later:
            await leased.call()
        assert later.value.run_state is RunState.NOT_STARTED
        pool.end(leased.worker)
