"""Those who wait for a worker of the pool, whichever app they want."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.workers.fair_queue import FairQueue
from gateway.workers.pooled import PooledWorker
from gateway.workers.version import Version


@dataclass(eq=False)
class Waiter:
    """Someone who wants a fresh worker."""

    owner: str
    version: Version
    worker: asyncio.Future[PooledWorker]
    since: float
    """When it began to wait, on the monotonic clock."""


class Waiters(FairQueue[Waiter]):
    """All of them, in the order of their turns."""

    def pending(self) -> Sequence[Waiter]:
        """Return those who still wait: one who has been cancelled in this very moment is still in the queue."""
        return [waiter for waiter in self if not waiter.worker.done()]

    def fail_next(self, version: Version, error: GatewayError) -> None:
        """Give whoever is next to get a worker of this version an error instead."""
        waiter = next((waiter for waiter in self.pending() if waiter.version is version), None)
        if waiter is not None:
            self.serve(waiter)
            waiter.worker.set_exception(error)
