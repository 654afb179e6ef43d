"""Several gateways on one Redis."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.redis_server import RedisProcess
from tests.redis.conftest import needed
from tests.scenarios.conftest import PROBE

KEPT = ("--appendonly", "yes")


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis for this test alone."""
    needed()
    with tempfile.TemporaryDirectory(prefix="sgw") as directory, RedisProcess(Path(directory), KEPT) as process:
        yield process


class Fleet:
    """Gateways as processes, each with a directory of its own. At the end of the test all are gone."""

    def __init__(self, redis: RedisProcess, stack: ExitStack) -> None:
        self.redis = redis
        self.gateways: list[GatewayProcess] = []
        self._stack = stack

    async def start(self, count: int, *, takeover: float = 10.0, **environment: str) -> list[GatewayProcess]:
        """Start so many more."""
        new = []
        for _ in range(count):
            directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sgw"))
            settings = {"STORE_URL": self.redis.url, "STORE_PREFIX": "fleet", "CLUSTER_LISTEN": "127.0.0.1:0"}
            settings |= {"CLUSTER_TAKEOVER": str(takeover), **environment}
            process = GatewayProcess(
                Path(directory) / "data",
                {"probe": PROBE},
                drain="keep",
                environment={f"SGW_{name}": value for name, value in settings.items()},
            )
            new.append(process)
        self.gateways += new
        await asyncio.gather(*(asyncio.to_thread(self._stack.enter_context, process) for process in new))
        return new


@pytest.fixture
def fleet(redis: RedisProcess) -> Iterator[Fleet]:
    """Gateways that are yet to be started."""
    with ExitStack() as stack:
        yield Fleet(redis, stack)
