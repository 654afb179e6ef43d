"""Gateways whose records are in a Redis: killed and started again, each on its own."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.redis_server import RedisProcess
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.trouble import NOT_SERVING, SERVING, watched_health
from tests.redis.conftest import needed
from tests.scenarios.client import connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
KEPT = ("--appendonly", "yes")


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    needed()
    with tempfile.TemporaryDirectory(prefix="sgw") as directory, RedisProcess(Path(directory), KEPT) as process:
        yield process


@pytest.fixture
def gateway(data_dir: Path, redis: RedisProcess) -> GatewayProcess:
    return GatewayProcess(data_dir, PROBES, environment={"SGW_STORE_URL": redis.url, "SGW_STORE_PREFIX": "sgw"})


async def test_sessions_outlive_a_gateway_that_is_killed(gateway: GatewayProcess) -> None:
    with gateway:
        async with connected(gateway.address, "owner") as client:
            session = (await client.new("remember", {"text": "kept"})).id
            for _ in range(3):
                await client.run(session=session)
        gateway.kill()
        await asyncio.to_thread(gateway.start)  # at once, although the one before had claimed the prefix
        async with connected(gateway.address, "owner") as client:
            found = await client.get(session)
            assert (found.status, found.call_count) == (pb.SESSION_STATUS_ACTIVE, 4)
            assert (await client.run("recall", session=session)).output["memory"] == "kept"
            assert (await client.end(session)).call_count == 5


@pytest.mark.parametrize("emptied", [False, True])
async def test_a_redis_that_goes_and_comes_back_costs_no_live_session(
    gateway: GatewayProcess, redis: RedisProcess, emptied: bool
) -> None:
    with gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            session = (await client.new("remember", {"text": "kept"})).id
            await client.run(session=session)
            redis.kill()
            await refused(client.run(session=session), "STORE_UNAVAILABLE", "NOT_STARTED")
            assert await health.next() == NOT_SERVING
            await refused(client.new(), "STORE_UNAVAILABLE", "NOT_STARTED")
            await refused(client.get(session), "STORE_UNAVAILABLE")
            assert (await client.run()).output["calls"] == 1  # a plain call
            if emptied:
                for file in redis.directory.glob("appendonlydir/*"):
                    file.unlink()
            await asyncio.to_thread(redis.start)
            assert await health.next() == SERVING
            answer = await client.run("recall", session=session)
            assert (answer.output["memory"], answer.session.call_count) == ("kept", 3)
            assert [each.id for each in (await client.list()).sessions] == [session]
        assert gateway.log.count("the store is unavailable") == 1
        assert ("records are missing" in gateway.log) is emptied
