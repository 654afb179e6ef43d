"""The pool in memory keeps the contract of pools, as far as that is not about the operating system.

Left out are the tests of what a pool in memory does not have: process ids, files, output, signals, and grace for
unload(); imports, and functions that block their thread; and shared workers that end for want of use.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import WorkerExit
from gateway.model import AppRef, AppVersion
from gateway.testing.clock import FakeClock
from gateway.testing.memory_machine import Leaving, MemoryMachine
from gateway.testing.memory_pool import MemoryPool
from gateway.testing.pool_adopting import PoolAdopting, record_of, standing_of
from gateway.testing.pool_calls import PoolCalling, PoolSharing
from gateway.testing.pool_endings import PoolEnding
from gateway.testing.pool_harness import Adopted, Leased, MakeApp, PoolFixtures, StartPool, lease
from gateway.testing.pool_leases import PoolLeasing, PoolStarting
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import WorkerLease, WorkerPool
from sessiongateway.app import current_call

_numbers = itertools.count(1)


class Obedient:
    """In memory what the suite's own app is in a process."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.calls = 0
        self.state: dict[str, Any] = {}

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Count the calls."""
        self.calls += 1
        return {"calls": self.calls, "pid": self.number}

    def told(self, input: dict[str, Any]) -> dict[str, Any]:
        call = current_call()
        return {"trace": [call.traceparent, call.tracestate, call.baggage]}

    def kept(self, input: dict[str, Any]) -> dict[str, Any]:
        return {"state": self.state}

    async def hold(self, input: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(input["gate"])
        try:
            writer.write(f"{input['word']}\n".encode())
            await reader.readline()
        except asyncio.CancelledError:
            self.state["cancelled"] = input["word"]
            raise
        finally:
            writer.close()
        return {}

    def fail(self, input: dict[str, Any]) -> None:
        raise ValueError(input.get("text", "as asked"))

    def die(self, input: dict[str, Any]) -> None:
        code = input.get("code", input.get("exit"))
        raise Leaving(WorkerExit(1 if isinstance(code, str) else code, input.get("signal")))


def broken() -> object:
    """Stand for an app that does not start."""
    raise ValueError("built wrong")


class StartMemoryPool(StartPool):
    """Starts pools on one machine."""

    def __init__(self, clock: FakeClock) -> None:
        self.machine = MemoryMachine(clock, {"obedient": Obedient, "other": Obedient, "newer": Obedient})
        self.machine.apps["broken"] = broken
        self._clock = clock
        self._pool: MemoryPool | None = None

    async def __call__(self, **settings: Any) -> WorkerPool:
        return (await self._start(settings, [])).pool

    async def again(self, leases: Sequence[WorkerLease]) -> Adopted:
        return await self._start({}, leases)

    async def beside(self) -> WorkerPool:
        # Nothing is told apart there by what has been started.
        self._pool = MemoryPool(WorkerSettings(min_idle=0), self.machine, self._clock)
        return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def _start(self, settings: dict[str, Any], leases: Sequence[WorkerLease]) -> Adopted:
        pool = self._pool = MemoryPool(WorkerSettings(**{"min_idle": 0, **settings}), self.machine, self._clock)
        return Adopted(pool, await pool.start(leases))


class TestMemoryPool(PoolFixtures):
    @pytest.fixture
    def make_app(self) -> MakeApp:
        def make(source: str = "", name: str = "obedient", **options: Any) -> AppVersion:
            return AppVersion(AppRef(name, "1"), Path("/nowhere"), **options)

        return make

    @pytest.fixture
    async def start_pool(self, clock: FakeClock) -> AsyncIterator[StartMemoryPool]:
        """Start pools in memory. At the end no process of theirs is left."""
        start = StartMemoryPool(clock)
        yield start
        await start.close()
        assert start.machine.processes == {}

    async def test_a_crash_leaves_leased_workers_with_their_state_and_ends_the_others(
        self, start_pool: StartMemoryPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        assert isinstance(pool, MemoryPool)
        leased, unleased = await lease(pool, app, outlive=600), await pool.acquire_shared(app, timeout=1)
        await leased.call()
        pool.crash()
        assert list(start_pool.machine.processes) == [leased.worker.id]
        assert unleased.id not in start_pool.machine.processes
        adopted = await start_pool.again([record_of(leased)])
        again = Leased(adopted.workers[leased.session_id], leased.session_id, 7)
        assert (await standing_of(again)).started == 1
        assert (await again.call())["calls"] == 2

    async def test_a_leased_worker_that_nobody_adopts_ends_after_its_time(
        self, start_pool: StartMemoryPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(orphan_grace=30)
        leased = await lease(pool, app, outlive=600)
        await pool.close(keep_leased=True)
        await clock.advance(629.9)
        assert leased.worker.id in start_pool.machine.processes
        await clock.advance(0.1)
        assert start_pool.machine.processes == {}

    test_described = PoolStarting.test_an_app_is_described_by_its_functions_in_order_of_their_names
    test_not_starting = PoolStarting.test_everyone_who_waits_for_an_app_that_does_not_start_hears_of_it
    test_fresh = PoolLeasing.test_a_leased_worker_is_fresh_and_keeps_its_state
    test_fenced = PoolLeasing.test_a_call_with_another_session_or_epoch_is_refused_as_not_started
    test_by_id = PoolLeasing.test_a_ready_worker_can_be_asked_for_by_its_id
    test_not_to_be_had = PoolLeasing.test_a_worker_that_cannot_be_had_is_not_waited_for
    test_order = PoolLeasing.test_those_who_wait_are_served_in_the_order_in_which_they_came
    test_ready_gives_way = PoolLeasing.test_a_ready_worker_of_another_app_gives_way_to_one_who_waits
    test_shared_gives_way = PoolLeasing.test_a_shared_worker_that_nobody_uses_gives_way_to_one_who_waits
    test_in_vain = PoolLeasing.test_one_who_waited_in_vain_is_told_after_the_timeout_and_not_before
    test_cancelled = PoolLeasing.test_one_who_is_cancelled_while_waiting_leaves_nothing_behind
    test_kept_ready = PoolLeasing.test_kept_ready_are_as_many_as_asked_for_also_after_a_lease
    test_replaced = PoolLeasing.test_a_ready_worker_that_dies_is_replaced_and_never_leased
    test_not_current = PoolLeasing.test_workers_of_a_version_that_is_no_longer_current_go_when_unused
    test_warm = PoolSharing.test_a_shared_worker_stays_warm_and_is_leased_to_nobody
    test_places = PoolSharing.test_each_shared_worker_has_as_many_calls_as_the_app_says
    test_place_in_vain = PoolSharing.test_one_who_waited_in_vain_for_a_place_is_told_after_the_timeout
    test_place_hasty = PoolSharing.test_one_who_gives_up_waiting_for_a_place_does_not_take_the_others_with_it
    test_place_cancelled = PoolSharing.test_one_who_is_cancelled_while_waiting_for_a_place_takes_none
    test_place_at_once = PoolSharing.test_a_place_given_to_one_who_is_cancelled_at_that_moment_goes_to_the_next
    test_place_back = PoolSharing.test_a_place_that_is_given_back_when_one_has_just_been_cancelled_goes_to_the_next
    test_shared_lost = PoolSharing.test_a_shared_worker_that_dies_is_replaced_also_for_those_who_wait
    test_traces = PoolCalling.test_an_app_knows_the_trace_of_its_call_and_of_none_where_there_is_none
    test_failures = PoolCalling.test_calls_fail_as_the_contract_says_and_the_worker_lives_on
    test_cancel = PoolCalling.test_a_coroutine_that_is_cancelled_sees_it_and_the_call_is_done
    test_abandon = PoolCalling.test_an_answer_that_is_there_is_not_replaced_by_abandoning
    test_dying = PoolCalling.test_a_worker_that_dies_says_how
    test_ended = PoolEnding.test_an_end_that_was_asked_for_is_no_loss
    test_end_cancels = PoolEnding.test_an_end_cancels_running_calls
    test_end_of_lost = PoolEnding.test_ending_a_worker_that_was_lost_is_fine
    test_closing = PoolEnding.test_closing_tells_those_who_wait
    test_still_running = PoolAdopting.test_a_call_that_still_runs_is_among_those_of_the_adopted_worker
    test_another_epoch = PoolAdopting.test_a_worker_of_another_session_or_a_higher_epoch_counts_as_lost
    test_taken_over = PoolAdopting.test_a_pool_takes_over_at_any_time_a_worker_of_another_one_which_is_then_fenced_off
    test_fenced_off = PoolAdopting.test_one_that_was_fenced_off_does_not_end_what_is_anothers
    test_nothing_there = PoolAdopting.test_taking_over_what_is_not_there_any_more_gives_nothing
    test_gone = PoolAdopting.test_a_worker_that_is_gone_is_not_among_the_adopted
    test_repeated = PoolAdopting.test_a_repeated_request_id_is_answered_as_before_and_runs_nothing
    test_moved_on = PoolAdopting.test_a_call_that_expects_another_count_is_refused
