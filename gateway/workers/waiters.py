"""Those who wait for a worker of the pool."""

import asyncio
from dataclasses import dataclass

from gateway.errors import NoWorkerAvailable, RunState
from gateway.model import AppVersion
from gateway.timing import RETRY_HINT
from gateway.workers.process import LocalWorker
from gateway.workers.version import Version


@dataclass(eq=False)
class Waiter:
    """Someone who wants a fresh worker."""

    version: Version
    worker: asyncio.Future[LocalWorker]
    since: float
    """When it began to wait, on the monotonic clock."""


def none_available(app: AppVersion) -> NoWorkerAvailable:
    """Return what those are told who have waited in vain."""
    return NoWorkerAvailable(
        f"no worker for {app.ref} became free in time",
        metadata={"app": app.ref.name, "version": app.ref.version},
        run_state=RunState.NOT_STARTED,
        retry_after=RETRY_HINT,
    )
