"""What the charts about many sessions and several processes come to, and which sessions are called for them."""

import pytest

from bench.charts import line_chart
from bench.figures import live, processes
from bench.figures.growth import IN_FLIGHT, spread


@pytest.mark.parametrize("count", [10, 100, 2000])
def test_a_run_calls_as_many_sessions_from_all_over(count: int) -> None:
    called = spread(count, 3)
    assert len(set(called)) == IN_FLIGHT
    assert all(0 <= number < count for number in called)
    assert max(called) - min(called) >= count // 2


def test_another_run_calls_other_sessions() -> None:
    assert not set(spread(100, 0)) & set(spread(100, 1))


def test_more_processes_are_compared_with_one_round_by_round() -> None:
    # The medians alone, 200 and 100, would give 2.
    found = processes.series({1: [100.0, 50.0, 400.0], 2: [110.0, 200.0, 400.0]}, {1: [100.0] * 3, 2: [80.0] * 3})
    assert found.measured == pytest.approx({"at_home_ratio": 1.1, "half_passed_on_ratio": 0.8})
    assert found.lines["at home"] == [(1.0, 100.0), (2.0, 200.0)]
    assert found.lines["half passed on"] == [(1.0, 100.0), (2.0, 80.0)]
    (words,) = found.says
    assert words.startswith("2 processes make 1.10 × the calls/s of one")
    assert words.endswith("0.80 × with half passed on.")


def test_on_one_core_there_is_nothing_to_compare() -> None:
    found = processes.series({1: [100.0]}, {1: [90.0]})
    assert (found.measured, found.says) == ({}, [])


@pytest.mark.parametrize(("count", "words"), [(2, "half passed on"), (4, "3 of 4 passed on")])
def test_the_more_processes_the_more_calls_are_passed_on(count: int, words: str) -> None:
    assert processes.passed_on(count) == words


def rates(hundred: float, thousand: float, two_thousand: float) -> live.Rates:
    """Return calls/s in three rounds, the last of which was disturbed."""
    each = dict(zip(live.COUNTS, (hundred, hundred, thousand, two_thousand), strict=True))
    return {count: [rate, rate, rate / 9] for count, rate in each.items()}


def test_what_a_call_takes_more_among_many_is_told_for_the_gateway_and_for_the_barest_workers() -> None:
    found = live.series(
        {
            "gateway": rates(10_000, 8_000, 5_000),
            "barest workers": rates(50_000, 20_000, 10_000),
            "gateway, most idle": rates(10_000, 10_000, 8_000),
            "barest, most idle": rates(50_000, 50_000, 62_500),
        }
    )
    assert found.lines["gateway"] == [(10.0, 100.0), (100.0, 100.0), (1000.0, 125.0), (2000.0, 200.0)]
    assert found.measured == pytest.approx(
        {
            "gateway_at_1000_more_us": 25.0,
            "gateway_at_2000_more_us": 100.0,
            "barest_workers_at_1000_more_us": 30.0,
            "barest_workers_at_2000_more_us": 80.0,
            "gateway_most_idle_at_1000_more_us": 0.0,
            "gateway_most_idle_at_2000_more_us": 25.0,
            "barest_most_idle_at_1000_more_us": 0.0,
            "barest_most_idle_at_2000_more_us": -4.0,
        }
    )
    first, second = found.says
    assert first.endswith("+25 and +100 µs through the gateway, +30 and +80 µs among the barest workers.")
    assert second.endswith("+0 and +25 µs through the gateway, +0 and -4 µs among the barest workers.")


def test_each_line_of_the_chart_has_a_colour_of_its_own() -> None:
    names = live.IN_TURN + live.MOSTLY_IDLE
    chart = line_chart(live.series(dict.fromkeys(names, rates(3.0, 2.0, 1.0))).as_json())
    colours = {part.partition('stroke="')[2].partition('"')[0] for part in chart.splitlines() if "polyline" in part}
    assert len(colours) == len(names)
