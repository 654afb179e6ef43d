"""Tests of worker pools: leased workers outlive the pool that leased them, and another one takes them over."""

# ruff: noqa: PLR2004  # tests compare with plain numbers

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import CallCountMismatch, RequestIdReused, RunState, WorkerExit, WorkerLeased
from gateway.model import AppVersion
from gateway.testing.gate import Gate
from gateway.testing.pool_harness import EPOCH, Leased, PoolFixtures, StartPool, answer, lease, share
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.workers.base import Standing, WorkerCall, WorkerLease

OUTLIVE = 600


def record_of(leased: Leased) -> WorkerLease:
    """Return the lease as a store would remember it."""
    return WorkerLease(leased.session_id, EPOCH, leased.worker.id, leased.worker.app.ref, OUTLIVE)


async def standing_of(leased: Leased) -> Standing:
    """Wait until an adopted worker has said how it stands."""
    said: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
    leased.worker.when_standing(said.set_result)
    async with asyncio.timeout(DEADLINE):
        return await said


class PoolAdopting(PoolFixtures):
    """Taking over, and what a worker remembers of its calls."""

    async def test_a_leased_worker_that_was_kept_is_adopted_with_its_state(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        pid = (await leased.call())["pid"]
        await pool.close(keep_leased=True)
        assert exists(pid)
        adopted = await start_pool.again([record_of(leased)])
        worker = adopted.workers[leased.session_id]
        again = Leased(worker, leased.session_id, EPOCH)
        assert (await standing_of(again)).started == 1
        assert await again.call() == {"calls": 2, "pid": pid}
        assert (worker.id, worker.app.ref) == (leased.worker.id, app.ref)
        assert "run" in worker.functions
        assert adopted.pool.holder(worker.id) == leased.session_id
        adopted.pool.end(worker)
        await until(lambda: not exists(pid))

    async def test_a_call_that_still_runs_is_among_those_of_the_adopted_worker(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        leased.begin("hold", gate=gate.path, word="w")
        await gate.arrival()
        await pool.close(keep_leased=True)
        adopted = await start_pool.again([record_of(leased)])
        standing = await standing_of(Leased(adopted.workers[leased.session_id], leased.session_id, EPOCH))
        (running,) = standing.running
        assert (running.reply.done(), standing.started) == (False, 1)
        gate.open("w")
        assert await answer(running) == b"{}"

    async def test_what_was_not_leased_ends_with_the_pool(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(min_idle=1)
        pool.keep_ready([app])
        shared = await share(pool, app)
        pid = (await shared.call())["pid"]
        await pool.close(keep_leased=True)
        assert not exists(pid)

    @pytest.mark.parametrize("raised", [0, 1, 5])
    async def test_a_pool_takes_over_at_any_time_a_worker_of_another_one_which_is_then_fenced_off(
        self, start_pool: StartPool, app: AppVersion, raised: int
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        await leased.call()
        if not raised:
            await pool.close(keep_leased=True)  # two that hold the same epoch are not told apart
        taker = await start_pool.beside()
        adopted = await taker.adopt([replace(record_of(leased), epoch=EPOCH + raised)])
        again = Leased(adopted[leased.session_id], leased.session_id, EPOCH + raised)
        assert (await standing_of(again)).started == 1
        assert (await again.call())["calls"] == 2
        assert taker.holder(again.worker.id) == leased.session_id
        if raised:
            with pytest.raises(WorkerLeased) as caught:
                await leased.call()
            assert caught.value.run_state is RunState.NOT_STARTED
        assert (await again.call())["calls"] == 3

    async def test_one_that_was_fenced_off_does_not_end_what_is_anothers(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        pid = (await leased.call())["pid"]
        taker = await start_pool.beside()
        adopted = await taker.adopt([replace(record_of(leased), epoch=EPOCH + 1)])
        again = Leased(adopted[leased.session_id], leased.session_id, EPOCH + 1)
        assert (await again.call())["calls"] == 2
        pool.end(leased.worker)
        with pytest.raises(WorkerLeased):
            await leased.call()  # has come after the end that was asked for
        assert await again.call() == {"calls": 3, "pid": pid}

    async def test_taking_over_what_is_not_there_any_more_gives_nothing(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        pool.end(leased.worker)
        await until(lambda: pool.holder(leased.worker.id) is None)
        assert await pool.adopt([record_of(leased)]) == {}

    @pytest.mark.parametrize("field", ["epoch", "session_id"])
    async def test_a_worker_of_another_session_or_a_higher_epoch_counts_as_lost(
        self, start_pool: StartPool, app: AppVersion, field: str
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        await pool.close(keep_leased=True)
        record = record_of(leased)
        wrong = replace(record, epoch=EPOCH - 1) if field == "epoch" else replace(record, session_id="sess_another")
        adopted = await start_pool.again([wrong])
        for worker in adopted.workers.values():
            lost: list[WorkerExit] = []
            worker.when_lost(lost.append)
            await until(lambda lost=lost: lost)  # type: ignore[misc]

    async def test_a_worker_that_nobody_asks_for_is_ended_and_cleared_away(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        places = await leased.call("places")
        pid = (await leased.call())["pid"]
        await pool.close(keep_leased=True)
        adopted = await start_pool.again([])
        assert adopted.workers == {}
        await until(lambda: not exists(pid))
        await until(lambda: not Path(places["cwd"]).exists())

    async def test_a_worker_that_is_gone_is_not_among_the_adopted(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        await pool.close()
        adopted = await start_pool.again([record_of(leased)])
        assert adopted.workers == {}

    async def test_a_repeated_request_id_is_answered_as_before_and_runs_nothing(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app)
        call = WorkerCall("run", b"{}", False, leased.session_id, EPOCH, request_id="r", fingerprint=b"same")
        first, again = leased.worker.call(call), leased.worker.call(call._replace(call_id="another"))
        assert await answer(first) == await answer(again)
        assert (first.repeated, again.repeated) == (False, True)
        with pytest.raises(RequestIdReused) as caught:
            await answer(leased.worker.call(call._replace(call_id="third", fingerprint=b"other")))
        assert caught.value.run_state is RunState.NOT_STARTED
        assert (await leased.call())["calls"] == 2

    async def test_a_call_that_expects_another_count_is_refused(self, start_pool: StartPool, app: AppVersion) -> None:
        leased = await lease(await start_pool(), app)
        await leased.call()
        call = WorkerCall("run", b"{}", False, leased.session_id, EPOCH, expected_calls=1)
        await answer(leased.worker.call(call))
        with pytest.raises(CallCountMismatch) as caught:
            await answer(leased.worker.call(call))
        assert caught.value.run_state is RunState.NOT_STARTED
        assert (await leased.call())["calls"] == 3
