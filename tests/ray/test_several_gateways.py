"""Two gateways on one Redis with workers on Ray: when one is gone, the other has its sessions, with their state."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.redis_server import RedisProcess
from tests.cluster.conftest import Fleet
from tests.ray.conftest import RayCluster
from tests.redis.conftest import needed
from tests.scenarios.client import Answer, CallFailed, connected, failure

TAKEOVER = 5.0
DEADLINE = 60.0
RETRY = 0.1


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Gateways on a Redis of this test, yet to be started."""
    needed()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sgw")))
        yield Fleet(stack.enter_context(RedisProcess(directory)), stack)


async def accepted(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Repeat a call until it has begun."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await call()
            except CallFailed as error:
                if error.run_state != "NOT_STARTED" or error.code not in ("GATEWAY_DRAINING", "STORE_UNAVAILABLE"):
                    raise
            await asyncio.sleep(RETRY)


async def started(fleet: Fleet, cluster: RayCluster) -> list[GatewayProcess]:
    return await fleet.start(
        2, takeover=TAKEOVER, WORKERS_POOL="ray", RAY_ADDRESS=cluster.address, WORKERS_MIN_IDLE="0"
    )


async def test_sessions_of_a_gateway_that_is_killed_go_on_with_the_other(fleet: Fleet, cluster: RayCluster) -> None:
    gateways = await started(fleet, cluster)
    async with connected(gateways[0].address, "owner") as first, connected(gateways[1].address, "owner") as second:
        session = (await first.new("remember", {"text": "kept"}, deadline=DEADLINE)).id
        assert (await second.run("recall", session=session)).output["memory"] == "kept"
        gateways[0].kill()
        answer = await accepted(lambda: second.run("recall", session=session))
        assert (answer.output["memory"], answer.session.call_count) == ("kept", 3)
        await second.end(session)


async def test_one_that_was_stopped_for_too_long_finds_its_sessions_with_the_other(
    fleet: Fleet, cluster: RayCluster
) -> None:
    gateways = await started(fleet, cluster)
    async with connected(gateways[0].address, "owner") as first, connected(gateways[1].address, "owner") as second:
        session = (await first.new("remember", {"text": "kept"}, deadline=DEADLINE)).id
        os.kill(gateways[0].pid, signal.SIGSTOP)
        try:
            interrupted = await failure(second.run("recall", session=session, deadline=DEADLINE))
            assert interrupted.run_state in ("UNKNOWN", "NOT_STARTED")  # as it had been given to the other, or not
            for calls in (2, 3):
                answer = await accepted(lambda: second.run("recall", session=session))
                assert (answer.output["memory"], answer.session.call_count) == ("kept", calls)
        finally:
            os.kill(gateways[0].pid, signal.SIGCONT)
        answer = await accepted(lambda: first.run("recall", session=session))
        assert (answer.output["memory"], answer.session.call_count) == ("kept", 4)
        await second.end(session)
