"""How a pool stands at one moment."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.workers.place import Place
from gateway.workers.pooled import PooledWorker, WorkerState
from gateway.workers.waiters import Waiters


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """Numbers of one gateway process."""

    workers: Mapping[str, int]
    """Worker processes by their state."""
    limit: int
    """How many there may be."""
    waiting: int
    """Those who wait for a fresh worker."""
    strays: int
    """Workers that were found at the start, that no session needed, and that were ended."""
    orphans: int
    """Workers that are alive now and that nobody knows of."""
    by_app: Mapping[tuple[str, str], int]
    """Worker processes by app and state."""
    waiting_by_app: Mapping[str, int]
    """Those who wait for a fresh worker, by the app that they want."""


async def figures_of(place: Place, workers: Mapping[str, PooledWorker], waiters: Waiters) -> PoolFigures:
    """Return the figures of a pool that has these workers. Does nothing on the event loop that blocks."""
    orphans = await place.orphans(workers)
    states = Counter({state.value: 0 for state in WorkerState})
    states.update(worker.state.value for worker in workers.values())
    by_app = Counter((worker.app.ref.name, worker.state.value) for worker in workers.values())
    waiting = Counter(waiter.version.app.ref.name for waiter in waiters.pending())
    limit = place.room.limit
    return PoolFigures(states, limit, waiting.total(), place.strays, orphans, by_app, waiting)
