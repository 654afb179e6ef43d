"""What an app is said to offer by a machine of Ray, and who is to blame when none says it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.errors import AppStartFailed, NoWorkerAvailable
from gateway.model import AppRef, AppVersion
from gateway.ray_settings import RaySettings
from gateway.testing.waiting import DEADLINE
from gateway.worker_settings import WorkerSettings
from gateway.workers.ray.link import DriverProcess
from gateway.workers.ray.pool import RayPool

DIED = {"error": "ActorDiedError: its node has died"}
GIVEN_UP = {"interrupted": "OSError: no space left on device"}
OFFERED = {
    "functions": [
        {
            "name": "run",
            "description": "",
            "input_schema": "{}",
            "output_schema": "",
            "streams": False,
            "partial_schema": "",
        }
    ]
}
WRONG = {"failed": {"type": "ImportError", "message": "no such library", "traceback": ""}}


class Describing(DriverProcess):
    """A driver that is asked to have an app described, and has these answers."""

    def __init__(self, answers: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.left = list(answers)
        self.workers: set[str] = set()
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._serving = asyncio.create_task(self._serve(theirs))
        return ours

    async def end(self) -> None:
        if self._serving is not None:
            await self._serving

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        await reader.readline()
        writer.write(b'{"is": "up", "version": "2"}\n')
        while line := await reader.readline():
            order = json.loads(line)
            if order["do"] == "describe":
                self.workers.add(order["id"])
                writer.write(json.dumps({"answer": order["ask"], "with": self.left.pop(0)}).encode() + b"\n")
            elif "ask" in order:
                writer.write(json.dumps({"answer": order["ask"], "with": {}}).encode() + b"\n")
        writer.close()


@asynccontextmanager
async def pool_with(driver: Describing, directory: Path) -> AsyncIterator[RayPool]:
    settings = WorkerSettings(min_idle=0)
    pool = RayPool(settings, RaySettings(), directory, SystemClock(), secret=b"s", owner="me", driver=driver)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


@pytest.fixture
def app(tmp_path: Path) -> AppVersion:
    return AppVersion(AppRef("app", "1"), tmp_path)


@pytest.mark.parametrize("trouble", [DIED, GIVEN_UP])
async def test_another_machine_is_asked_when_one_does_not_come_to_it(
    app: AppVersion, tmp_path: Path, trouble: Mapping[str, Any]
) -> None:
    driver = Describing([trouble, OFFERED])
    async with pool_with(driver, tmp_path) as pool:
        assert [function.name for function in await pool.describe(app, timeout=DEADLINE)] == ["run"]
        assert len(driver.workers) == 2


async def test_an_app_is_not_to_blame_for_machines_that_die(app: AppVersion, tmp_path: Path) -> None:
    driver = Describing([DIED, GIVEN_UP, OFFERED])
    async with pool_with(driver, tmp_path) as pool:
        with pytest.raises(NoWorkerAvailable):
            await pool.describe(app, timeout=DEADLINE)
        assert await pool.describe(app, timeout=DEADLINE)  # whoever comes next asks anew


async def test_what_is_wrong_with_the_app_is_told_to_each_who_waits(app: AppVersion, tmp_path: Path) -> None:
    driver = Describing([WRONG])
    async with pool_with(driver, tmp_path) as pool:
        asked = [pool.describe(app, timeout=DEADLINE) for _ in range(2)]
        first, second = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(first, AppStartFailed)
        assert isinstance(second, AppStartFailed)
        assert first is not second  # each is completed with the call that it answers
        assert first.failure == second.failure
        assert first.failure is not None
        assert first.failure.type == "ImportError"
        assert not driver.left
