"""How a gateway process ends: on SIGTERM after a drain, on SIGKILL without a word, and what is left of it."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.workers.runtime import runtime_directory
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import alive, descendants, eventually, wait_for_exit, worker_directories
from tests.scenarios.client import CallFailed, Client, connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
NO_SPARE = ["--min-idle", "0"]
NO_ORPHANS = {"SGW_WORKERS_ORPHAN_GRACE": "0"}
"""Workers that are leased stay for their session's timeout when the gateway is gone, and no longer."""


async def in_thread_stopped(gateway: GatewayProcess) -> int:
    """Wait for the end of the process and return its exit code."""
    return await asyncio.to_thread(gateway.wait)


@asynccontextmanager
async def health_turns(channel: grpc.aio.Channel) -> "AsyncIterator[asyncio.Queue[int]]":
    """Yield a queue in which each status that health has from now on appears."""
    turns: asyncio.Queue[int] = asyncio.Queue()
    stub: Any = health_pb2_grpc.HealthStub(channel)

    async def watch() -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for response in stub.Watch(health_pb2.HealthCheckRequest()):
                turns.put_nowait(response.status)

    watching = asyncio.create_task(watch())
    try:
        yield turns
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def test_sigterm_drains_health_first_calls_in_flight_finish_and_new_ones_are_told(
    data_dir: Path, gate: Gate
) -> None:
    with GatewayProcess(data_dir, PROBES, NO_SPARE) as gateway:
        processes = descendants(gateway.pid)
        async with connected(gateway.address) as client:
            opened = await client.new("run")
            plain = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "plain"}))
            in_session = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "own"}, session=opened.id))
            assert {await gate.arrival(), await gate.arrival()} == {"plain", "own"}
            processes |= descendants(gateway.pid)
            async with health_turns(client.channel) as turns:
                assert await turns.get() == health_pb2.HealthCheckResponse.SERVING
                gateway.terminate()
                assert await turns.get() == health_pb2.HealthCheckResponse.NOT_SERVING
            for session in ("", "new", opened.id):
                refusal = await refused(client.run("run", session=session), "GATEWAY_DRAINING", "NOT_STARTED")
                assert refusal.retry_delay
            assert (await client.get(opened.id)).status == pb.SESSION_STATUS_ACTIVE
            assert not plain.done()
            gate.open("plain")
            gate.open("own")
            assert (await plain).output["word"] == "plain"
            assert (await in_session).output["word"] == "own"
        assert await in_thread_stopped(gateway) == 0
        assert not alive(processes)
        assert not worker_directories(data_dir)


async def test_calls_that_outlast_the_drain_are_cut_and_told_so(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, PROBES, [*NO_SPARE, "--drain-grace", "0.1"]) as gateway:
        async with connected(gateway.address) as client:
            opened = await client.new("run")
            running = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "own"}, session=opened.id))
            plain = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "plain"}))
            first = asyncio.create_task(client.new("hold", {"gate": gate.path, "word": "first"}))
            assert {await gate.arrival() for _ in range(3)} == {"own", "plain", "first"}
            gateway.terminate()
            for call, reason in ((running, "GATEWAY_RESTARTED"), (first, "FIRST_CALL_FAILED")):
                refusal = await refused(call, "SESSION_ENDED", "UNKNOWN")
                assert refusal.info.metadata["endReason"] == reason
            assert (await refused(plain, "WORKER_LOST", "UNKNOWN")).info.metadata["exit"] == "unknown"
            assert {await gate.departure() for _ in range(3)} == {"own", "plain", "first"}
        assert await in_thread_stopped(gateway) == 0


async def test_a_session_whose_first_call_outlasts_the_drain_ends_even_where_sessions_are_kept(
    data_dir: Path, gate: Gate
) -> None:
    with GatewayProcess(data_dir, PROBES, [*NO_SPARE, "--drain-grace", "0.1"], drain="keep") as gateway:
        async with connected(gateway.address) as client:
            first = asyncio.create_task(client.new("hold", {"gate": gate.path, "word": "first"}))
            await gate.arrival()
            gateway.terminate()
            refusal = await refused(first, "SESSION_ENDED", "UNKNOWN")
            assert refusal.info.metadata["endReason"] == "FIRST_CALL_FAILED"
        assert await in_thread_stopped(gateway) == 0
        assert "Traceback" not in gateway.log


async def test_calls_of_sessions_that_are_kept_are_told_that_they_go_on_or_were_not_started(
    data_dir: Path, gate: Gate
) -> None:
    with GatewayProcess(data_dir, PROBES, [*NO_SPARE, "--drain-grace", "0.5"], drain="keep") as gateway:
        async with connected(gateway.address) as client, client.keepalive_stream() as stream:
            session = (await client.new("run")).id
            await stream.renew(session)
            call = {"gate": gate.path, "word": "kept"}
            running = asyncio.create_task(client.run("hold", call, session=session, request_id="r"))
            await gate.arrival()
            waiting = asyncio.create_task(client.run("run", session=session))
            await eventually_counted(client, session, 3)
            gateway.terminate()
            await refused(running, "CALL_INTERRUPTED", "UNKNOWN")
            await refused(waiting, "GATEWAY_DRAINING", "NOT_STARTED")
            await refused(stream.receive(), "GATEWAY_DRAINING")
        assert await in_thread_stopped(gateway) == 0
        gate.open("kept")
        await asyncio.to_thread(gateway.start)
        async with connected(gateway.address) as client:
            answer = await client.run("hold", call, session=session, request_id="r")
            assert (answer.output["word"], answer.session.call_count) == ("kept", 2)
            await client.end(session)


async def eventually_counted(client: Client, session: str, calls: int) -> None:
    """Wait until so many calls of the session have been admitted, of which the gateway gives no notice."""
    async with asyncio.timeout(10):
        counted = 0
        while counted < calls:
            counted = (await client.get(session)).call_count


async def test_one_who_waits_for_a_worker_when_the_drain_is_over_hears_that_nothing_was_applied(
    data_dir: Path,
) -> None:
    flags = [*NO_SPARE, "--max-workers", "1", "--drain-grace", "0.1"]
    with GatewayProcess(data_dir, PROBES, flags) as gateway:
        async with connected(gateway.address) as client:
            opened = await client.new("run")
            waiting = asyncio.create_task(client.new("run"))
            assert (await client.run("run", session=opened.id)).output["calls"] == 2
            gateway.terminate()
            await refused(waiting, "GATEWAY_DRAINING", "NOT_STARTED")
        assert await in_thread_stopped(gateway) == 0


async def test_a_stream_is_told_that_its_sessions_end_with_the_gateway(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, NO_SPARE) as gateway:
        async with connected(gateway.address) as client:
            opened = await client.new("run")
            async with client.keepalive_stream() as stream:
                await stream.renew(opened.id)
                gateway.terminate()
                news = await stream.receive()
                assert news.error.end_reason == errors_pb2.END_REASON_GATEWAY_RESTARTED
        assert await in_thread_stopped(gateway) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_gateway_stops_at_once_with_exit_code_0(data_dir: Path, number: signal.Signals) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address) as client:
            await client.new("run")
            await client.run("run")
        processes = descendants(gateway.pid)
        assert len(processes) >= 3
        os.kill(gateway.pid, number)
        assert await in_thread_stopped(gateway) == 0
    assert not alive(processes)
    assert not worker_directories(data_dir)


async def test_a_gateway_that_is_killed_leaves_no_process_behind(data_dir: Path, tmp_path: Path, gate: Gate) -> None:
    shutil.copy(PROBE / "app.py", tmp_path / "app.py")
    (tmp_path / "app.toml").write_text('start_method = "spawn"')
    with GatewayProcess(data_dir, {**PROBES, "spawned": tmp_path}, environment=NO_ORPHANS) as gateway:
        async with connected(gateway.address) as client:
            calls = []
            for app in ("probe", "spawned"):
                await client.new("run", app=app, session_timeout=1)
                for function in ("hold", "hold_blocking"):
                    held = {"gate": gate.path, "word": f"{app} {function}"}
                    calls.append(client.new(function, held, app=app, session_timeout=1))
                held = {"gate": gate.path, "word": f"{app} plain"}
                calls.append(client.run("hold_blocking", held, app=app))
            running = [asyncio.create_task(call) for call in calls]
            assert len({await gate.arrival() for _ in calls}) == len(calls)
            processes = descendants(gateway.pid)
            assert len(processes) >= len(calls) + 4
            gateway.kill()
            for answer in await asyncio.gather(*running, return_exceptions=True):
                assert isinstance(answer, CallFailed)
                assert answer.status is grpc.StatusCode.UNAVAILABLE
            # Each ends by itself, also one that is in the middle of a function which never looks up.
            await asyncio.to_thread(wait_for_exit, processes, 30.0)


async def test_workers_of_a_gateway_that_is_killed_still_unload(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, PROBES, NO_SPARE, environment=NO_ORPHANS) as gateway:
        async with connected(gateway.address) as client:
            await client.new("hold_at_unload", {"gate": gate.path, "word": "unloading"}, session_timeout=1)
        processes = descendants(gateway.pid)
        gateway.kill()
        assert await gate.arrival() == "unloading"
        gate.open("unloading")
        await asyncio.to_thread(wait_for_exit, processes)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
async def test_a_gateway_that_is_killed_during_an_import_leaves_no_process_behind(
    data_dir: Path, tmp_path: Path, gate: Gate, start_method: str
) -> None:
    lines = ["import socket", "gate = socket.socket(socket.AF_UNIX)", f"gate.connect({gate.path!r})"]
    lines += ['gate.sendall(b"importing\\n")', "gate.recv(1)"]
    (tmp_path / "app.py").write_text("\n".join(lines))
    (tmp_path / "app.toml").write_text(f'start_method = "{start_method}"')
    with GatewayProcess(data_dir, {"slow": tmp_path}) as gateway:
        assert await gate.arrival() == "importing"
        processes = descendants(gateway.pid)
        gateway.kill()
        await asyncio.to_thread(wait_for_exit, processes)


async def test_restarts_leave_no_directory_outside_of_the_data_directory(tmp_path: Path) -> None:
    # Too long for a socket's path, so that the workers are elsewhere.
    data_dir = tmp_path / ("long" * 25)
    outside = runtime_directory(data_dir)
    assert not outside.is_relative_to(tmp_path)
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address) as client:
            await client.new("run")
        assert outside.exists()
    assert not outside.exists()


async def test_a_harness_that_is_left_by_an_exception_leaves_nothing(data_dir: Path) -> None:
    processes: frozenset[int] = frozenset()
    with pytest.raises(KeyError), GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address) as client:
            await client.new("run")
        processes = descendants(gateway.pid) | {gateway.pid}
        raise KeyError
    assert len(processes) >= 3
    assert not alive(processes)
    await eventually("the workers' directories are gone", lambda: not worker_directories(data_dir))
