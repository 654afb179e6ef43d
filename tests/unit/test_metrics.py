"""How numbers are counted, and how they become a page."""

import asyncio
import gc
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.errors import AppNotFound, WorkerExit, WorkerLost
from gateway.exposition.families import FAMILIES
from gateway.exposition.page import Numbers, render
from gateway.exposition.snapshot import Snapshot, code_of, of_few_apps
from gateway.metrics import CALL_BUCKETS, LATENESS_BUCKETS, STORE_BUCKETS, WAIT_BUCKETS, Histogram
from gateway.sessions.meter import MAX_APPS, OTHER, CallMeter, TimedProgress
from gateway.stores.metered import OPERATIONS
from gateway.workers.meter import death_reason


def test_a_value_counts_below_the_first_bound_that_it_is_not_above() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert (histogram.counts, histogram.total) == ([2, 2, 1], 7.5)


@pytest.mark.parametrize("bounds", [CALL_BUCKETS, WAIT_BUCKETS, LATENESS_BUCKETS, STORE_BUCKETS])
def test_bounds_ascend(bounds: tuple[float, ...]) -> None:
    assert all(low < high for low, high in pairwise(bounds))


def test_a_call_is_in_the_queue_until_a_worker_is_given_it() -> None:
    meter = CallMeter(lambda name: True)
    progress = TimedProgress("call_1", None)
    assert not progress.started
    meter.over("kv", progress, AppNotFound)
    progress.started = True
    assert progress.started
    meter.over("kv", progress, None)
    calls = meter.apps["kv"]
    assert calls.ended == {(AppNotFound, False): 1, (None, True): 1}
    assert (sum(calls.queued.counts), sum(calls.worked.counts)) == (2, 1)


def test_only_so_many_apps_and_only_deployed_ones_are_told_apart() -> None:
    meter = CallMeter(lambda name: name.startswith("app"))
    for number in range(MAX_APPS + 10):
        meter.over(f"app{number}", TimedProgress("call_1", None), None)
        meter.over(f"made up {number}", TimedProgress("call_1", None), AppNotFound)
    assert len(meter.apps) == MAX_APPS + 1
    assert meter.apps[OTHER].ended == {(None, False): 10, (AppNotFound, False): MAX_APPS + 10}


def test_apps_beyond_so_many_share_a_name_and_nothing_is_lost() -> None:
    counts = {(f"app{number:03}", state): 1 for number in range(MAX_APPS + 10) for state in ("idle", "leased")}
    few = of_few_apps(counts.items())
    assert len({app for app, _ in few}) == MAX_APPS + 1
    assert few[OTHER, "idle"] == few[OTHER, "leased"] == 10
    assert sum(few.values()) == sum(counts.values())


def test_outcomes_have_the_codes_of_the_contract() -> None:
    assert [code_of(outcome) for outcome in (None, WorkerLost, asyncio.CancelledError)] == [
        "OK",
        "WORKER_LOST",
        "CANCELLED",
    ]


@pytest.mark.parametrize(
    ("exit_", "reason"),
    [
        (WorkerExit(signal=9), "SIGKILL"),
        (WorkerExit(signal=9, limit="memory"), "limit_memory"),
        (WorkerExit(signal=40), "signal"),
        (WorkerExit(exit_code=3), "exit"),
        (WorkerExit(), "unknown"),
    ],
)
def test_a_death_has_one_of_a_few_reasons(exit_: WorkerExit, reason: str) -> None:
    assert death_reason(exit_) == reason


def test_the_operations_of_a_store_are_timed() -> None:
    assert {"admit", "finish", "create", "expire_due", "page"} <= set(OPERATIONS)


def busy(apps: int) -> Snapshot:
    """Return the numbers of a gateway with so many apps."""
    ranges = [*range(len(CALL_BUCKETS) + 1), 1.5]
    return {
        "sgw_calls_total": [([f"app{n}", code, "worker"], n) for n in range(apps) for code in ("OK", "APP_ERROR")],
        "sgw_call_duration_seconds": [([f"app{n}", "worker"], list(ranges)) for n in range(apps)],
        "sgw_sessions": [(["idle"], 3), (["busy"], 4)],
    }


async def test_a_page_that_is_made_in_pieces_is_the_page_that_prometheus_client_makes_at_once() -> None:
    snapshots = {"0": busy(MAX_APPS), "1": busy(7)}
    page = (await render(snapshots, 2)).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert len(families) == len(FAMILIES)
    whole = list(Numbers(snapshots, 2).collect())
    assert {family.name: family.samples for family in whole} == {
        name: family.samples for name, family in families.items()
    }
    assert page.count("# TYPE ") == len(FAMILIES)


async def test_a_large_page_leaves_the_event_loop_time_for_others() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    lines = (await render({"0": busy(MAX_APPS)}, 1)).count(b"\n")
    task.cancel()
    gc.collect()
    assert lines / turns < 60
