"""What a gateway counts of itself with: plain numbers that whoever has the event looks after, and a scrape reads.

Nothing here knows Prometheus: what is counted for each call must cost no more than adding up does.
"""

from bisect import bisect_left
from collections.abc import Sequence

CALL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds: from a call that only passes through to one that trains a model."""

WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds: from a worker that is ready to a queue time of a minute."""

LATENESS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds in seconds."""

STORE_BUCKETS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
"""Upper bounds in seconds: from a record in memory to a lock that somebody else holds."""


class Histogram:
    """How many values there were up to each of some bounds, and what they add up to."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend. A value that equals one is not above it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of each range between two bounds by itself; the last one is beyond all of them."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
