"""Those who wait for a worker of the pool."""

import asyncio
from dataclasses import dataclass

from gateway.workers.process import LocalWorker
from gateway.workers.version import Version


@dataclass(eq=False)
class Waiter:
    """Someone who wants a fresh worker."""

    version: Version
    worker: asyncio.Future[LocalWorker]
    since: float
    """When it began to wait, on the monotonic clock."""
