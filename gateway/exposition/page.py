"""The page that Prometheus reads, made from the numbers of all gateway processes.

Prometheus' client makes its text. That takes some microseconds for each number, so it is done piece by piece: whatever
else the event loop has to do is done between them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from gateway.exposition.families import FAMILIES, PROCESS_LABEL, Family
from gateway.exposition.snapshot import Number, Samples, Snapshot

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_AT_A_TIME = 50
"""Lines that are made without a pause: less than half a millisecond."""


class Numbers(Collector):
    """The metrics of some gateway processes, for a registry of Prometheus' client."""

    def __init__(self, snapshots: Mapping[str, Snapshot], processes: int) -> None:
        """`snapshots` has those processes that have answered, by their numbers; there are to be so many `processes`."""
        whole: Snapshot = {
            "sgw_processes": [([], processes)],
            "sgw_processes_up": [([], len(snapshots))],
            "sgw_process_up": [([str(index)], int(str(index) in snapshots)) for index in range(processes)],
        }
        self._several = processes > 1
        # Each with the value of its label.
        self._parts: list[tuple[list[str], Snapshot]] = [([], whole)]
        self._parts += (([index] if self._several else [], part) for index, part in snapshots.items())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, whole."""
        for family in FAMILIES.values():
            yield self._metric(family, self._samples(family))

    def pieces(self) -> Iterator[tuple[Metric, bool]]:
        """Yield every metric in pieces of a bounded size, each with whether it is the first of its metric."""
        for family in FAMILIES.values():
            samples, first = self._samples(family), True
            size = max(1, _AT_A_TIME // (len(family.buckets) + 3)) if family.kind == "histogram" else _AT_A_TIME
            while samples or first:
                yield self._metric(family, samples[:size]), first
                samples, first = samples[size:], False

    def _samples(self, family: Family) -> Samples:
        return [(labels + own, number) for own, part in self._parts for labels, number in part.get(family.name, ())]

    def _metric(self, family: Family, samples: Samples) -> Metric:
        labels = [*family.labels, PROCESS_LABEL] if self._several and family.of_process else family.labels
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=labels)
            for values, number in samples:
                histogram.add_metric(values, *_cumulative(family, number))
            return histogram
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=labels)
        for values, number in samples:
            assert not isinstance(number, list)
            metric.add_metric(values, number)
        return metric


def _cumulative(family: Family, number: Number) -> tuple[list[tuple[str, float]], float]:
    """Return the buckets as Prometheus has them, each with all below it, and the sum."""
    assert isinstance(number, list)
    bounds = [*map(str, family.buckets), "+Inf"]
    return list(zip(bounds, accumulate(number[:-1]), strict=True)), number[-1]


async def render(snapshots: Mapping[str, Snapshot], processes: int) -> bytes:
    """Return the page. See `Numbers`."""
    text = []
    for metric, first in Numbers(snapshots, processes).pieces():
        lines = generate_latest(_Only([metric]))
        # Each metric has its two lines of description once.
        text.append(lines if first else lines.split(b"\n", 2)[2])
        await asyncio.sleep(0)
    return b"".join(text)


class _Only(Collector):
    """A registry of given metrics."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
