"""Many sessions, one after another and at once: each has its own state, and nothing of them stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import descendants, eventually, open_files, resident_bytes, worker_directories
from tests.scenarios.client import Client, connected, failure
from tests.scenarios.conftest import PROBE

LIVE_AT_ONCE = 200
IN_TURN = 300
BURST = 5000
NOBODY = "sess_" + "a" * 26
WARMED_UP_AFTER = 100
MAX_GROWTH = 2 * 1024 * 1024
"""Bytes for two hundred sessions. Ten kilobytes for each would be a leak; an allocator's reserves are less."""


@pytest.fixture
async def gateway(data_dir: Path) -> AsyncIterator[GatewayProcess]:
    with GatewayProcess(data_dir, {"probe": PROBE}, ["--min-idle", "2", "--log-level", "warning"]) as process:
        yield process


async def use(client: Client, number: int) -> None:
    """Open a session, use it, end it."""
    opened = await client.new("remember", {"text": f"text {number}"})
    recalled = await client.run("recall", session=opened.id)
    assert recalled.output == {
        "memory": f"text {number}",
        "files": [f"text {number}"] * 2,
        "database": [f"text {number}"],
    }
    assert (await client.end(opened.id)).call_count == 2


def only_ready_workers(gateway: GatewayProcess) -> bool:
    """Whether the gateway, its zygote and two ready workers are all that there is."""
    return len(worker_directories(gateway.data_dir)) == 2 and len(descendants(gateway.pid)) == 3


async def test_hundreds_of_sessions_one_after_another_leave_nothing_behind(gateway: GatewayProcess) -> None:
    async with connected(gateway.address) as client:
        for number in range(WARMED_UP_AFTER):
            await use(client, number)
        await eventually("only ready workers are left", lambda: only_ready_workers(gateway))
        files, memory = open_files(gateway.pid), resident_bytes(gateway.pid)
        for number in range(WARMED_UP_AFTER, IN_TURN):
            await use(client, number)
        await eventually("only ready workers are left", lambda: only_ready_workers(gateway))
        assert open_files(gateway.pid) == files
        assert resident_bytes(gateway.pid) - memory < MAX_GROWTH
        assert not (await client.list(status=pb.SESSION_STATUS_ACTIVE)).sessions
        ended = await client.list(status=pb.SESSION_STATUS_ENDED, page_size=1000)
        assert len(ended.sessions) == IN_TURN


async def test_hundreds_of_live_sessions_keep_their_own_state_and_all_end(gateway: GatewayProcess) -> None:
    async with connected(gateway.address) as client:
        numbers = range(LIVE_AT_ONCE)
        opened = await asyncio.gather(*(client.new("remember", {"text": str(n)}, deadline=50.0) for n in numbers))
        assert len({answer.session.worker_id for answer in opened}) == LIVE_AT_ONCE
        assert len(worker_directories(gateway.data_dir)) >= LIVE_AT_ONCE
        listed = await client.list(status=pb.SESSION_STATUS_ACTIVE, page_size=1000)
        assert {session.id for session in listed.sessions} == {answer.id for answer in opened}
        for _ in range(2):
            recalled = await asyncio.gather(*(client.run("recall", session=answer.id) for answer in opened))
            assert [answer.output["memory"] for answer in recalled] == [str(n) for n in numbers]
        ended = await asyncio.gather(*(client.end(answer.id) for answer in opened))
        assert {session.status for session in ended} == {pb.SESSION_STATUS_ENDED}
        await eventually("only ready workers are left", lambda: only_ready_workers(gateway), deadline=30.0)


async def test_a_burst_of_thousands_of_requests_is_answered_to_the_last(gateway: GatewayProcess) -> None:
    """Of what comes beyond a thousand at once gRPC would cancel some, without a word."""
    async with connected(gateway.address) as client:
        answers = await asyncio.gather(*(failure(client.get(NOBODY)) for _ in range(BURST)))
    assert {answer.code for answer in answers} == {"SESSION_NOT_FOUND"}
