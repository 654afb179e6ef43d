"""A figure: several rounds made into one value with its spread, and judged."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bench.targets import TARGETS, Target


class LeftOut(Exception):
    """Something cannot be measured here, for a reason that is none of the gateway's; the text says which."""


@dataclass(frozen=True)
class Figure:
    """One measured figure. `value`, `low`, `high`, `must` and `goal` are in `unit`."""

    name: str
    title: str
    value: float
    unit: str
    yardstick: str
    must: float | None
    goal: float | None
    ok: bool | None
    """Whether the must is reached; None where there is none."""
    better: Literal["higher", "lower"]
    low: float
    high: float
    """The least and the greatest of the rounds."""
    rounds: int
    measured: Mapping[str, float | str] = field(default_factory=dict)
    """What was measured for it, such as the two sides of a ratio, with units in the names; and remarks."""

    @property
    def goal_reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else reached(self.value, self.goal, self.better)

    def as_json(self) -> dict[str, Any]:
        """Return the object that stands in the results."""
        return asdict(self)


@dataclass(frozen=True)
class Series:
    """How something grows: a chart. `points` are pairs of x and y; a series may have its yardstick as a second line."""

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    measured: Mapping[str, float] = field(default_factory=dict)
    """What the points come to, such as the ratio of two, with units in the names."""
    says: Sequence[str] = ()
    """The same in sentences, which stand below the chart."""

    def as_json(self) -> dict[str, Any]:
        """Return the object that stands in the results."""
        return asdict(self)


def reached(value: float, bound: float, better: str) -> bool:
    """Return whether a value is at the bound or on its better side."""
    return value >= bound if better == "higher" else value <= bound


def judge(value: float, target: Target) -> bool | None:
    """Return whether the value reaches what it must, None where nothing must be reached."""
    return None if target.must is None else reached(value, target.must, target.better)


def figure(name: str, samples: Sequence[float], **measured: float | str) -> Figure:
    """Return the figure of this name: the median of the rounds' samples. Raises ValueError without samples, or when
    one is no number.
    """
    if not samples or not all(map(math.isfinite, samples)):
        raise ValueError(f"{name} needs samples that are numbers: {samples}")
    target = TARGETS[name]
    value = statistics.median(samples)
    return Figure(
        name=name,
        title=target.title,
        value=value,
        unit=target.unit,
        yardstick=target.yardstick,
        must=target.must,
        goal=target.goal,
        ok=judge(value, target),
        better=target.better,
        low=min(samples),
        high=max(samples),
        rounds=len(samples),
        measured=measured,
    )


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours in theirs, round by round: both sides of a round ran one right after the other."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1) of the values does not exceed."""
    if not values:
        raise ValueError("a quantile needs values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
