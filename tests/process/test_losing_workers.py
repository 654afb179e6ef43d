"""A worker that dies under a call: who is told what, and in which order."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import (
    DEADLINE,
    descendants,
    eventually,
    kill_worker,
    wait_for_exit,
    worker_directories,
    worker_pid,
)
from tests.scenarios.client import Client, connected
from tests.scenarios.conftest import PROBE, new_key
from tests.scenarios.failures import refused

SIGKILL = 9


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    data_dir: Path = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(data_dir, {"probe": PROBE}, ["--min-idle", "0"]) as process:
        yield process


async def test_a_worker_killed_under_a_call_is_told_to_everyone_at_once_and_its_session_is_over(
    gateway: GatewayProcess, gate: Gate
) -> None:
    async with connected(gateway.address, new_key()) as client, client.keepalive_stream() as stream:
        opened = await client.new("run")
        other = await client.new("run")
        await stream.renew(opened.id, other.id)
        happened: list[str] = []

        async def note(what: str, event: "asyncio.Future[object] | asyncio.Task[object]") -> None:
            await asyncio.wait([event])
            happened.append(what)

        call = client.run("hold", {"gate": gate.path, "word": "running"}, session=opened.id)
        running: asyncio.Task[object] = asyncio.create_task(call)
        assert await gate.arrival() == "running"
        queued: asyncio.Task[object] = asyncio.create_task(client.run("run", session=opened.id))
        # A call of another session, which takes longer than it takes to notice a death.
        elsewhere: asyncio.Task[object] = asyncio.create_task(
            client.run("hold", {"gate": gate.path, "word": "elsewhere"}, session=other.id)
        )
        assert await gate.arrival() == "elsewhere"
        notes = [
            asyncio.create_task(note(what, event))
            for what, event in (("lost", running), ("ended", queued), ("elsewhere", elsewhere))
        ]
        kill_worker(gateway.data_dir, opened.session.worker_id)
        lost = await refused(running, "WORKER_LOST", "UNKNOWN")
        assert lost.detail.worker_exit.signal == SIGKILL
        assert lost.info.metadata["exit"] == "signal 9"
        assert lost.detail.session_id == opened.id
        assert lost.end_reason == "WORKER_LOST"
        ended = await refused(queued, "SESSION_ENDED", "NOT_STARTED")
        news = await stream.receive()
        assert (news.session_id, news.error.code) == (opened.id, errors_pb2.ERROR_CODE_SESSION_ENDED)
        later = await refused(client.run("run", session=opened.id), "SESSION_ENDED", "NOT_STARTED")
        gate.open("elsewhere")
        await asyncio.wait(notes)
        assert sorted(happened[:2]) == ["ended", "lost"]
        assert happened[2] == "elsewhere"
        for refusal in (ended, later):
            assert refusal.info.metadata["endReason"] == "WORKER_LOST"
            assert refusal.detail.worker_exit.signal == SIGKILL
        assert news.error.worker_exit.signal == SIGKILL
        session = await client.get(opened.id)
        assert (session.status, session.end_reason) == (pb.SESSION_STATUS_ENDED, errors_pb2.END_REASON_WORKER_LOST)
        assert session.call_count == 2
        assert (await client.run("run", session=other.id)).output["calls"] == 3
        await client.end(other.id)


async def test_an_idle_session_whose_worker_is_killed_ends_before_anyone_calls(gateway: GatewayProcess) -> None:
    async with connected(gateway.address, new_key()) as client, client.keepalive_stream() as stream:
        opened = await client.new("run")
        await stream.renew(opened.id)
        kill_worker(gateway.data_dir, opened.session.worker_id)
        news = await stream.receive()
        assert news.error.end_reason == errors_pb2.END_REASON_WORKER_LOST
        refusal = await refused(client.keepalive(opened.id), "SESSION_ENDED")
        assert refusal.detail == news.error
        worker = opened.session.worker_id
        await eventually("its directory is gone", lambda: worker not in worker_directories(gateway.data_dir))


async def test_a_plain_call_whose_worker_is_killed_is_lost_and_others_go_on(
    gateway: GatewayProcess, gate: Gate
) -> None:
    async with connected(gateway.address, new_key()) as client:
        before = worker_directories(gateway.data_dir)
        running = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "plain"}))
        assert await gate.arrival() == "plain"
        (worker,) = worker_directories(gateway.data_dir) - before
        assert worker_pid(gateway.data_dir, worker)
        kill_worker(gateway.data_dir, worker)
        lost = await refused(running, "WORKER_LOST", "UNKNOWN")
        assert lost.info.metadata["workerId"] == worker
        assert (await client.run("run")).output["calls"] == 1


async def test_a_ready_worker_that_is_killed_is_never_leased(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path / "data", {"probe": PROBE}, ["--min-idle", "1"]) as gateway:
        async with connected(gateway.address) as client:
            ready = await ready_workers(client, bool)
            for worker in ready:
                kill_worker(gateway.data_dir, worker)
            replaced = await ready_workers(client, lambda ids: bool(ids) and not set(ids) & set(ready))
            answers = [await client.new("run") for _ in range(3)]
        assert answers[0].session.worker_id in replaced
        assert [answer.output["calls"] for answer in answers] == [1, 1, 1]


async def test_a_zygote_that_is_killed_costs_no_session_and_is_replaced(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path / "data", {"probe": PROBE}, ["--min-idle", "0"]) as gateway:
        async with connected(gateway.address) as client:
            opened = await client.new("run")
            worker = worker_pid(gateway.data_dir, opened.session.worker_id)
            (zygote,) = descendants(gateway.pid) - {worker}
            os.kill(zygote, SIGKILL)
            await asyncio.to_thread(wait_for_exit, [zygote])
            assert (await client.run("run", session=opened.id)).output["calls"] == 2
            assert (await client.new("run")).output["calls"] == 1
            # Nobody saw how this one ended: its parent is gone.
            lost = await refused(client.run("die", {"signal": SIGKILL}, session=opened.id), "WORKER_LOST", "UNKNOWN")
            assert lost.detail.worker_exit.WhichOneof("how") is None
            assert lost.info.metadata["exit"] == "unknown"
        assert gateway.stop() == 0


async def ready_workers(client: Client, enough: Callable[[Sequence[str]], bool]) -> Sequence[str]:
    """Wait until the ready workers of the app are as they should be, and return their ids."""
    async with asyncio.timeout(DEADLINE):
        while True:
            described = await client.unary(client.apps.GetApp, apps_pb2.GetAppRequest(app="probe"))
            if enough(described.app.idle_worker_ids):
                return list(described.app.idle_worker_ids)
