"""What was done to gateways and workers, and when: what callers may hear depends on it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway.worker.family import mark_of

SETTLING = 1.0
"""Seconds in which gateways that are back do what was due meanwhile."""


class Troubles:
    """When a gateway was away, and which workers were killed. Times are of the wall clock, which gateways show."""

    def __init__(self) -> None:
        self.spans: list[list[float]] = []
        self.killed: dict[str, float] = {}
        """When each worker was killed."""
        self.killed_marks: dict[int, float] = {}
        """The same of those of which only the marks are known that their processes carry."""
        self.dead_with_node: dict[int, float] = {}
        """The same of those that ended with all else on their node."""
        self._away: list[list[float]] = []
        """The spans in which it was a gateway, or its records, to which something was done."""

    def killed_at(self, worker_id: str) -> float | None:
        """Return when a worker was killed; None if nobody killed it."""
        return self.killed.get(worker_id, self.killed_marks.get(mark_of(worker_id), self.lost_with_node(worker_id)))

    def lost_with_node(self, worker_id: str) -> float | None:
        """Return when a worker ended with its node; None if it did not."""
        return self.dead_with_node.get(mark_of(worker_id))

    @contextmanager
    def trouble(self, *, of_gateways: bool = True) -> Iterator[None]:
        """Be in trouble until the end of the block. Not `of_gateways`: all of them are there meanwhile, to say what
        becomes of their workers.
        """
        span = [time.time(), float("inf")]
        self.spans.append(span)
        if of_gateways:
            self._away.append(span)
        try:
            yield
        finally:
            span[1] = time.time()

    def calm(self, since: float, until: float) -> bool:
        """Whether there was no trouble at any moment between the two, nor just before."""
        return _none_in(self.spans, since, until)

    def attended(self, since: float, until: float) -> bool:
        """Whether all gateways were there all the while between the two, and just before."""
        return _none_in(self._away, since, until)

    def over_since(self, since: float, until: float) -> float:
        """Return when the last trouble between the two was over: `since` if there was none, `until` if it was not."""
        ends = [ended for began, ended in self.spans if began <= until and since <= ended]
        return min(until, max([since, *ends]))


def _none_in(spans: Sequence[Sequence[float]], since: float, until: float) -> bool:
    return not any(began <= until and since <= ended + SETTLING for began, ended in spans)
