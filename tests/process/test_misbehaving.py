"""Apps that do not let go: EndSession frees their workers all the same, and nobody else notices."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.timing import TERM_GRACE
from sessiongateway.v1 import errors_pb2
from tests.process.observe import alive, eventually, wait_for_exit, worker_directories, worker_pid
from tests.process.unruly import END_GRACE, ENVIRONMENT, FLAGS, neighbour, unruly
from tests.scenarios.client import Client, connected, counted
from tests.scenarios.conftest import new_key
from tests.scenarios.failures import refused

SLACK = 2.0
"""Seconds beyond its graces in which a worker is gone on a busy machine."""

NOTICEABLE = 1.0
"""Seconds: a neighbour whose calls take a millisecond notices this."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(home / "data", {"unruly": unruly(home / "unruly")}, FLAGS, environment=ENVIRONMENT) as process:
        yield process


async def begin(client: Client, session: str, function: str, gate: Gate) -> "asyncio.Task[Any]":
    """Have a call running that does not end by itself."""
    call = client.run(function, {"seconds": 600, "gate": gate.path}, session=session)
    running = asyncio.create_task(call)
    await gate.arrival()
    return running


@pytest.mark.parametrize(
    ("resistance", "running"),
    [
        ({}, "sleep"),
        ({}, "persist"),
        ({"ignore": "SIGTERM"}, "sleep"),
        ({"mask": "everything"}, "persist"),
        ({"unload": "wait"}, "wait"),
        ({"unload": "block", "ignore": "SIGTERM"}, ""),
        ({"unload": "wait", "mask": "everything"}, ""),
    ],
    ids=str,
)
async def test_the_end_of_a_session_frees_its_worker_within_the_graces_whatever_the_app_does(
    gateway: GatewayProcess, gate: Gate, resistance: dict[str, str], running: str
) -> None:
    async with connected(gateway.address, new_key(), app="unruly") as client, neighbour(client) as other:
        opened = await client.new("resist", resistance)
        pids = (await client.run("children", {"children": 3}, session=opened.id)).output["pids"]
        for function in ("fork_away", "exec_away"):
            pids.append((await client.run(function, session=opened.id)).output["pid"])
        pids.append(worker_pid(gateway.data_dir, opened.session.worker_id))
        assert alive(pids) == set(pids)
        call = await begin(client, opened.id, running, gate) if running else None
        began = time.monotonic()
        ended = await client.end(opened.id)
        assert ended.end_reason == errors_pb2.END_REASON_CALLER
        if call is not None:
            assert (await refused(call, "SESSION_ENDED", "UNKNOWN")).end_reason == "CALLER"
        assert time.monotonic() - began < NOTICEABLE
        await asyncio.to_thread(wait_for_exit, pids, END_GRACE + TERM_GRACE + SLACK)
        worker = opened.session.worker_id
        await eventually("its directory is gone", lambda: worker not in worker_directories(gateway.data_dir))
    assert other.slowest < NOTICEABLE


async def test_a_worker_that_is_stopped_can_be_ended(gateway: GatewayProcess) -> None:
    async with connected(gateway.address, new_key(), app="unruly") as client, neighbour(client):
        opened = await client.new("run")
        pid = worker_pid(gateway.data_dir, opened.session.worker_id)
        os.kill(pid, signal.SIGSTOP)
        running = asyncio.create_task(client.run("run", session=opened.id))
        await counted(client, opened.id, 2)
        await client.end(opened.id)
        await refused(running, "SESSION_ENDED", "UNKNOWN")
        await asyncio.to_thread(wait_for_exit, [pid], END_GRACE + TERM_GRACE + SLACK)


@pytest.mark.parametrize("garbage", ["00", "0000", "000000", "00000100", "ff", "ffffffff", "0000000aff", None])
async def test_a_worker_whose_app_spoils_its_socket_is_lost_and_no_call_of_it_hangs(
    gateway: GatewayProcess, garbage: str | None
) -> None:
    async with connected(gateway.address, new_key(), app="unruly") as client, neighbour(client):
        session = (await client.new("run")).id
        input = {"garbage": garbage} if garbage else {}
        error = await refused(client.run("worker_socket", input, session=session), "WORKER_LOST", "UNKNOWN")
        assert error.end_reason == "WORKER_LOST"
        await refused(client.run("run", session=session), "SESSION_ENDED", "NOT_STARTED")


async def test_an_app_that_floods_its_output_does_not_hold_up_others(gateway: GatewayProcess) -> None:
    async with connected(gateway.address, new_key(), app="unruly") as client, neighbour(client) as other:
        session = (await client.new("run")).id
        assert (await client.run("flood", {"bytes": 100_000_000}, session=session)).output == {}
        await client.end(session)
    assert other.slowest < NOTICEABLE


async def test_daemons_of_a_worker_that_ends_itself_without_a_gateway_go_with_it(data_dir: Path) -> None:
    apps = {"unruly": unruly(data_dir.parent / "app")}
    environment = {**ENVIRONMENT, "SGW_WORKERS_ORPHAN_GRACE": "0"}
    with GatewayProcess(data_dir, apps, FLAGS, drain="keep", environment=environment) as gateway:
        async with connected(gateway.address, app="unruly") as client:
            opened = await client.new("fork_away", session_timeout=1)
            pids = [opened.output["pid"], worker_pid(data_dir, opened.session.worker_id)]
            pids.append((await client.run("exec_away", session=opened.id)).output["pid"])
            assert alive(pids) == set(pids)
        await asyncio.to_thread(gateway.kill)
        await asyncio.to_thread(wait_for_exit, pids)


async def test_daemons_of_shared_and_leased_workers_go_with_the_last_gateway(data_dir: Path) -> None:
    apps = {"unruly": unruly(data_dir.parent / "app")}
    with GatewayProcess(data_dir, apps, FLAGS) as gateway:
        async with connected(gateway.address, app="unruly") as client:
            pids = [(await client.run("fork_away")).output["pid"], (await client.new("exec_away")).output["pid"]]
            assert alive(pids) == set(pids)
        assert gateway.stop() == 0
        assert not alive(pids)
