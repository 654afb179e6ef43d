"""What happened between two pages of a metrics port."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.cli.top.page import PROCESS, Page, Sample, Series


@dataclass(frozen=True, slots=True)
class Growth:
    """How much counters and the parts of histograms have grown."""

    seconds: float
    """In which time; 0.0 when there is nothing to compare."""
    series: Series
    """With the growth as the value. Series of processes whose growth is not known are left out."""

    def rate(self, name: str, **labels: str) -> float | None:
        """Return the growth a second; None when it is not known."""
        return self.series.total(name, **labels) / self.seconds if self.seconds > 0 else None

    def quantiles(self, name: str, ranks: Sequence[float], **labels: str) -> list[float | None]:
        """Return quantiles of what a histogram has counted in this time, over all series with these labels."""
        buckets: dict[float, float] = {}
        for sample in self.series.of(f"{name}_bucket", **labels):
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
        return [quantile(rank, buckets) for rank in ranks]


NOTHING = Growth(0.0, Series(()))
"""When there is nothing to compare."""


def growth(before: Page | None, now: Page) -> Growth:
    """Return what has happened between two pages.

    A process that was started again counts from 0. One that is new on the page does, too, if it began after the page
    before; otherwise it was only not asked in time, and what it has counted is not of this time alone.
    """
    if before is None or now.at <= before.at:
        return NOTHING
    earlier, later = before.starts, now.starts
    from_zero = {
        process
        for process, start in later.items()
        if (start != earlier[process] if process in earlier else start > before.wall)
    }
    compared = {process for process in later if process in earlier} | from_zero
    grown = []
    for key, sample in now.series.by_key.items():
        process = sample.labels.get(PROCESS, "")
        if process in compared:
            old = None if process in from_zero else before.series.by_key.get(key)
            grown.append(sample._replace(value=_grown(old, sample)))
    return Growth(now.at - before.at, Series(grown))


def _grown(old: Sample | None, new: Sample) -> float:
    """Return by how much: a counter that has fallen began anew."""
    if old is None or new.value < old.value:
        return new.value
    return new.value - old.value


def quantile(rank: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile as Prometheus reckons it: even within a bucket, and no more than the last bound that is finite.

    `buckets` has, for each upper bound, how many values were not above it. None if there was no value.
    """
    bounds = sorted(buckets)
    count = buckets[bounds[-1]] if bounds else 0.0
    if count <= 0:
        return None
    wanted, low, below = rank * count, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if math.isinf(bound):
                return low
            inside = buckets[bound] - below
            return bound if inside <= 0 else low + (bound - low) * (wanted - below) / inside
        low, below = bound, buckets[bound]
    return low
