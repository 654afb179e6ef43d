"""What the tests of a worker pool work with: virtual time, apps, leases on which they call, and a gate."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from gateway.model import AppVersion
from gateway.testing.clock import FakeClock
from gateway.testing.gate import Gate, listening_gate
from gateway.testing.pool_apps import OBEDIENT, write_app
from gateway.testing.waiting import DEADLINE
from gateway.workers.base import PendingCall, Worker, WorkerCall, WorkerLease, WorkerPool

MakeApp = Callable[..., AppVersion]

PATIENCE = 1000.0
"""Virtual seconds that a test waits for a worker that is to come."""

EPOCH = 7


@dataclass(frozen=True)
class Adopted:
    """A pool that has taken over what another one left, and the workers that it found, by session id."""

    pool: WorkerPool
    workers: Mapping[str, Worker]


class StartPool(Protocol):
    """Starts pools, one after another, on the same place. What is still open after the test is closed then."""

    async def __call__(self, **settings: Any) -> WorkerPool:
        """Start a pool that finds nothing to adopt."""

    async def again(self, leases: Sequence[WorkerLease]) -> Adopted:
        """Start a pool on what the one before has left."""

    async def beside(self) -> WorkerPool:
        """Start a pool that finds nothing to adopt, and can reach the workers of the one before, which goes on."""


_numbers = itertools.count(1)


class Leased:
    """A worker and the lease or the place on which it is called."""

    def __init__(self, worker: Worker, session_id: str = "", epoch: int = 0) -> None:
        self.worker = worker
        self.session_id = session_id
        self._epoch = epoch

    def begin(self, function: str = "run", **input: Any) -> PendingCall:
        payload = json.dumps(input).encode()
        return self.worker.call(WorkerCall(function, payload, False, self.session_id, self._epoch))

    async def call(self, function: str = "run", **input: Any) -> dict[str, Any]:
        return dict(json.loads(await answer(self.begin(function, **input))))


async def answer(call: PendingCall) -> bytes:
    """Return a call's output, or raise its error, in time."""
    async with asyncio.timeout(DEADLINE):
        return await call.reply


async def lease(pool: WorkerPool, app: AppVersion, *, timeout: float = PATIENCE, **fields: Any) -> Leased:
    """Lease a worker to a session of its own."""
    session_id = f"sess_{next(_numbers)}"
    worker = await pool.lease(app, session_id, EPOCH, timeout=timeout, **fields)
    return Leased(worker, session_id, EPOCH)


async def share(pool: WorkerPool, app: AppVersion, timeout: float = PATIENCE) -> Leased:
    """Get a place on a shared worker."""
    return Leased(await pool.acquire_shared(app, timeout=timeout))


class PoolFixtures:
    """What the tests of a pool work with: virtual time, apps, and a gate to hold their functions at."""

    start_method: Literal["fork", "spawn"] = "fork"

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def make_app(self, tmp_path: Path) -> MakeApp:
        """Write an app: `make_app(source, name=..., concurrency=...)`."""

        def make(source: str = OBEDIENT, name: str = "obedient", **options: Any) -> AppVersion:
            options.setdefault("start_method", self.start_method)
            return write_app(tmp_path / "apps" / name, source, name=name, **options)

        return make

    @pytest.fixture
    def app(self, make_app: MakeApp) -> AppVersion:
        return make_app()

    @pytest.fixture
    def short_path(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="sgw") as directory:
            yield Path(directory)

    @pytest.fixture
    async def gate(self, short_path: Path) -> AsyncIterator[Gate]:
        async with listening_gate(short_path / "gate") as gate:
            yield gate
