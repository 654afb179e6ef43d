"""What a fleet needs by arithmetic, and the simulation of a busy Redis."""

from dataclasses import replace

import pytest

from bench import scale_model
from bench.scale_model import BUSY, REDIS_GB, Costs, Fleet, Load, needs, sessions_of_a_prefix, simulated

COST = Costs(
    redis_call=50.0,
    redis_keepalive=10.0,
    redis_keepalive_alone=40.0,
    redis_session=100.0,
    gateway_call=100.0,
    gateway_keepalive=5.0,
    live_bytes=1000.0,
    finished_bytes=500.0,
    worker_mb=3.0,
)
FLEET = Fleet(600_000, timeout=60.0, calls_per_minute=6.0, life=600.0, retention=3600.0, worker_mb=3.0)


def test_each_rate_is_worked_out_of_how_sessions_live() -> None:
    has = needs(FLEET, COST)
    assert (has.keepalives, has.calls, has.opened) == (30_000.0, 60_000.0, 1_000.0)
    assert has.records == 600_000 + 3_600_000
    assert has.redis_cores == pytest.approx((30_000 * 10 + 60_000 * 50 + 1_000 * 100) / 1e6)
    assert has.redis_gb == pytest.approx((4_200_000 * 1000 + 3_600_000 * 500) / 1e9)
    assert has.gateway_cores == pytest.approx((30_000 * 5 + 60_000 * 100) / 1e6)


def test_what_is_needed_is_rounded_up_and_no_core_is_planned_full() -> None:
    has = needs(FLEET, COST)
    assert has.prefixes == 7  # 3.4 cores at a half each
    assert has.gateways == 13  # 6.15 cores at a half each
    assert has.nodes == 34  # 1,800 GB on 54.4 GB each
    assert has.bound_by == "processor"


def test_where_finished_sessions_are_kept_for_long_memory_decides() -> None:
    has = needs(replace(FLEET, retention=86400.0 * 7, calls_per_minute=0.0), COST)
    assert has.bound_by == "memory"
    assert has.prefixes == -(-has.redis_gb // REDIS_GB)


def test_a_fleet_of_nothing_much_still_has_a_prefix_and_a_second_gateway() -> None:
    has = needs(replace(FLEET, sessions=10), COST)
    assert (has.prefixes, has.gateways, has.nodes) == (1, 2, 1)


@pytest.mark.parametrize("retention", [0.0, 86400.0])
def test_what_one_prefix_carries_is_what_needs_just_one(retention: float) -> None:
    like = replace(FLEET, retention=retention)
    count, stopped_by = sessions_of_a_prefix(COST, like)
    assert needs(replace(like, sessions=int(count * 0.999)), COST).prefixes == 1
    more = needs(replace(like, sessions=int(count * 1.001)), COST)
    assert (more.prefixes, more.bound_by) == (2, stopped_by)


def test_a_simulation_with_the_same_seed_gives_the_same_and_with_another_nearly() -> None:
    first, again, other = (simulated(COST, Load(0.5, kept_alive=0.5, seconds=1.0), seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.median_ms == pytest.approx(other.median_ms, rel=0.1)


def test_every_operation_is_answered_and_none_before_it_has_been_there_and_back() -> None:
    found = simulated(COST, Load(0.01, seconds=20.0))
    assert found.operations == pytest.approx(0.01 / (COST.redis_call / 2e6) * 20.0, rel=0.1)
    least = 1e3 * (2 * scale_model.TRIP + (COST.run + COST.redis_call / 2) / 1e6)
    # Hardly anything waits at a hundredth of what Redis can do.
    assert found.median_ms == pytest.approx(least, rel=0.05)
    assert found.median_ms > 0.999 * least


def test_runs_grow_and_waits_with_them_as_more_is_offered() -> None:
    found = [simulated(COST, Load(share, seconds=1.0)) for share in (0.1, 0.5, 0.9)]
    assert found[0].in_a_run < found[1].in_a_run < found[2].in_a_run
    assert found[0].p99_ms < found[1].p99_ms < found[2].p99_ms
    assert all(each.busy <= 1.0 for each in found)


def test_calls_wait_for_messages_with_many_keepalives_and_less_for_those_with_few() -> None:
    alone, few, many = (
        simulated(COST, Load(0.5, kept_alive=kept_alive, ids=ids))
        for kept_alive, ids in ((0.0, 1), (0.5, 10), (0.5, 1000))
    )
    # A thousand of them take Redis ten milliseconds, which a call that comes meanwhile waits for.
    assert alone.p99_ms < few.p99_ms < many.p99_ms
    assert many.p99_ms > 1000 * COST.redis_keepalive / 1e3
    assert few.operations == pytest.approx(alone.operations / 2, rel=0.1)


def test_a_redis_that_is_offered_more_than_it_can_do_answers_later_and_later() -> None:
    short, long = (simulated(COST, Load(1.3, seconds=seconds)) for seconds in (1.0, 3.0))
    assert long.p99_ms > 2 * short.p99_ms
    assert long.busy == pytest.approx(1.0, abs=0.01)


def test_nothing_is_planned_nearer_to_full_than_half() -> None:
    assert BUSY <= 0.5
