"""A Ray cluster of three nodes on this machine for all tests here, and pools on virtual time with workers on it."""

import asyncio
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.ray_settings import RaySettings
from gateway.testing.clock import FakeClock
from gateway.testing.pool_harness import Adopted, StartPool
from gateway.testing.waiting import DEADLINE, until
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import WorkerLease, WorkerPool
from gateway.workers.ray.link import DriverProcess
from gateway.workers.ray.pool import RayPool

NODES, CPUS = 3, 8
START = 120.0
"""Seconds in which a cluster is there on a machine that has much else to do."""

SECRET = b"a secret of tests that is not one"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Ray where it is not installed."""
    if importlib.util.find_spec("ray") is None:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="Ray is not installed; make test-ray does that"))


class RayCluster:
    """The processes of a cluster, started by `tests.ray.running`, which ends with this process."""

    def __init__(self, nodes: int = NODES) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sgwr"))
        self._mark = f"SGW_TESTS_OF_RAY={self.directory.name}"
        name, _, value = self._mark.partition("=")
        self._log = (self.directory / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ray.running", str(self.directory), str(nodes), str(CPUS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, name: value},
            text=True,
        )
        self.address = self._line()

    def order(self, text: str) -> None:
        """Have something done with a node."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        assert self._line() == "done"

    def close(self) -> None:
        """End all of it, and see that nothing is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(START)
        finally:
            until = time.monotonic() + DEADLINE
            while (left := self.processes()) and time.monotonic() < until:
                time.sleep(0.05)
            for pid in left:
                os.kill(pid, 9)
            self._log.close()
            assert self._process.stdout is not None
            self._process.stdout.close()
            shutil.rmtree(self.directory, ignore_errors=True)
        assert not left, f"{len(left)} processes of Ray outlived the cluster"

    def left(self) -> list[str]:
        """Return what is there of workers, on any node."""
        return [path.name for path in self.directory.glob("sgw-ray-*/*")]

    def files_of(self, worker_id: str) -> list[Path]:
        """Return what is there of a worker."""
        return list(self.directory.glob(f"sgw-ray-*/*{worker_id}"))

    def actor_of(self, worker_id: str) -> int:
        """Return the process that looks after a worker."""
        (note,) = self.directory.glob(f"sgw-ray-*/lib.{worker_id}/supervisor")
        return int(note.read_text().split()[0])

    def processes(self) -> list[int]:
        """Return what belongs to the cluster and lives."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    # A zygote has nothing of its actor's environment, but is told where its socket is.
                    if self._mark.encode() in (entry / "environ").read_bytes() or (
                        str(self.directory).encode() in (entry / "cmdline").read_bytes()
                    ):
                        found.append(int(entry.name))
                except OSError:
                    continue  # it has ended
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"Ray does not start: {(self.directory / 'log').read_text()[-2000:]}")
        return line


def started_cluster() -> RayCluster:
    """Start a cluster. A second time if that fails: its processes look for each other with patience of their own."""
    try:
        return RayCluster()
    except RuntimeError:
        return RayCluster()


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """The cluster that no test harms."""
    cluster = started_cluster()
    yield cluster
    cluster.close()


class SharedDriver(DriverProcess):
    """One driver for all pools of the tests: each of its own would take two seconds to reach Ray."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._path = str(directory / "driver")
        command = [sys.executable, "-m", "gateway.workers.ray.driver", self._path]
        self._serving = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        until = time.monotonic() + START
        while not Path(self._path).exists():
            assert time.monotonic() < until
            assert self._serving.poll() is None
            time.sleep(0.05)

    async def start(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._path)
        return sock

    async def end(self) -> None:
        """It goes on."""

    def close(self) -> None:
        """End it after the last test."""
        assert self._serving.stdin is not None
        self._serving.stdin.close()
        self._serving.wait(START)


@pytest.fixture(scope="session")
def driver(cluster: RayCluster) -> Iterator[SharedDriver]:
    driver = SharedDriver(cluster.directory)
    yield driver
    driver.close()


class StartRayPool(StartPool):
    """Starts pools on one cluster, as the same gateway again and again; or beside each other, as two of them."""

    def __init__(
        self, cluster: RayCluster, directory: Path, clock: FakeClock, driver: DriverProcess | None = None
    ) -> None:
        self._cluster = cluster
        self._driver = driver
        self._directory = directory
        self._clock = clock
        self.pools: list[RayPool] = []

    async def __call__(self, **settings: Any) -> WorkerPool:
        return (await self._start(settings, [])).pool

    async def again(self, leases: Sequence[WorkerLease]) -> Adopted:
        return await self._start({}, leases)

    async def beside(self) -> WorkerPool:
        return (await self._start({}, [], owner="another")).pool

    async def close(self) -> None:
        for pool in reversed(self.pools):
            async with asyncio.timeout(DEADLINE):
                await pool.close()

    async def _start(self, settings: dict[str, Any], leases: Sequence[WorkerLease], owner: str = "one") -> Adopted:
        pool = self.made(owner, **settings)
        return Adopted(pool, await pool.start(leases))

    def made(
        self, owner: str = "one", secret: bytes = SECRET, tls: Mapping[str, Path] | None = None, **settings: Any
    ) -> RayPool:
        """Return a pool that is yet to be started. `tls` are settings of `ray`, by name."""
        ray = RaySettings.model_validate({"address": self._cluster.address, **(tls or {})})
        workers = WorkerSettings(**{"min_idle": 0, "pool": "ray", **settings})
        pool = RayPool(workers, ray, self._directory, self._clock, secret=secret, owner=owner, driver=self._driver)
        self.pools.append(pool)
        return pool


@pytest.fixture
async def start_pool(
    cluster: RayCluster, driver: SharedDriver, short_path: Path, clock: FakeClock
) -> AsyncIterator[StartRayPool]:
    """Start RayPools. At the end no worker of theirs is left on any node, nor a file of one."""
    start = StartRayPool(cluster, short_path / "run", clock, driver)
    yield start
    await start.close()
    if cluster.left():
        # Workers that no pool knew at its end, as tests want it: the same gateway, started again, ends them.
        for owner in ("one", "another"):
            pool = start.made(owner)
            await pool.start()
            await pool.close()
    await until(lambda: not cluster.left())
