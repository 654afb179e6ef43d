"""The arithmetic of figures, and their judgement."""

import pytest

from bench.figure import figure, judge, quantile, ratios, reached
from bench.targets import TARGETS, Target


@pytest.mark.parametrize(("samples", "value"), [([3.0], 3.0), ([3.0, 1.0, 2.0], 2.0), ([4.0, 1.0, 2.0, 3.0], 2.5)])
def test_the_value_is_the_median_of_the_rounds(samples: list[float], value: float) -> None:
    assert figure("calls_rate", samples).value == value


def test_the_spread_is_from_the_least_to_the_greatest_round() -> None:
    found = figure("calls_rate", [0.8, 0.7, 0.9, 0.75])
    assert (found.low, found.high, found.rounds) == (0.7, 0.9, 4)


@pytest.mark.parametrize("samples", [[], [0.8, float("nan")], [float("inf")]])
def test_there_is_no_figure_without_samples_that_are_numbers(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="needs samples"):
        figure("calls_rate", samples)


@pytest.mark.parametrize(
    ("value", "better", "ok"),
    [
        (0.74, "higher", False),
        (0.75, "higher", True),
        (0.76, "higher", True),
        (0.74, "lower", True),
        (0.75, "lower", True),
        (0.76, "lower", False),
    ],
)
def test_a_bound_is_reached_at_it_and_on_its_better_side(value: float, better: str, ok: bool) -> None:
    assert reached(value, 0.75, better) is ok


@pytest.mark.parametrize(("median", "ok", "goal"), [(6.0, False, False), (4.0, True, False), (1.5, True, True)])
def test_a_figure_says_whether_must_and_goal_are_reached(median: float, ok: bool, goal: bool) -> None:
    found = figure("new_median", [median])
    assert (found.ok, found.goal_reached) == (ok, goal)


def test_a_figure_for_the_record_is_neither_good_nor_bad() -> None:
    found = figure("calls_rate_go", [0.1])
    assert (found.must, found.ok, found.goal_reached) == (None, None, None)
    assert judge(0.0, Target("", "", "")) is None


def test_a_ratio_is_taken_round_by_round() -> None:
    # The medians alone, 30 and 20, would give 1.5.
    assert ratios([10.0, 30.0, 80.0], [10.0, 20.0, 40.0]) == [1.0, 1.5, 2.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_quantile_is_a_value_that_occurred(share: float, value: int) -> None:
    assert quantile([*range(100, 0, -1)], share) == value


def test_every_goal_is_at_least_as_hard_as_its_must() -> None:
    wrong = [
        name
        for name, target in TARGETS.items()
        if target.must is not None and target.goal is not None and not reached(target.goal, target.must, target.better)
    ]
    assert wrong == []
