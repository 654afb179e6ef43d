"""What is counted of workers."""

import signal
from collections import Counter

from gateway.errors import WorkerExit
from gateway.metrics import WAIT_BUCKETS, Histogram
from gateway.model import LIMIT_REASONS
from gateway.workers.pooled import PooledWorker

START = "start"
"""The reason of a death before there was a worker: import, constructor or setup() failed, or took too long."""


_USUAL = (
    START,
    "exit",
    "unknown",
    "SIGKILL",
    "SIGSEGV",
    "SIGABRT",
    "SIGTERM",
    *(f"limit_{of}" for of in LIMIT_REASONS),
)


class PoolMeter:
    """Counts waits and deaths."""

    def __init__(self) -> None:
        self.waits = Histogram(WAIT_BUCKETS)
        """Seconds that each one waited who wanted a fresh worker, whether one came or not."""
        # Present from the start: Prometheus does not see a number rise that was not there before.
        self.deaths = Counter(dict.fromkeys(_USUAL, 0))
        """Workers that ended unasked, by reason."""

    def gone(self, worker: PooledWorker) -> None:
        """Count a worker that has ended, if it did so unasked."""
        if worker.died and worker.exit is not None:
            self.deaths[death_reason(worker.exit)] += 1


def death_reason(exit_: WorkerExit) -> str:
    """Return one of a few words for how a process ended: `limit_memory`, `SIGSEGV`, `exit` or `unknown`."""
    if exit_.limit:
        return f"limit_{exit_.limit}"
    if exit_.signal is not None:
        try:
            return signal.Signals(exit_.signal).name
        except ValueError:
            return "signal"  # a real-time signal has no name
    return "unknown" if exit_.exit_code is None else "exit"
