"""Gateways whose store is locked, full or cannot be written: real processes, real files, real limits."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from sessiongateway import AsyncInference
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import DEADLINE, kill_worker
from tests.process.trouble import NOT_SERVING, SERVING, locked, no_file_larger_than, watched_health
from tests.scenarios.client import CallFailed, Client, connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import check, refused

PROBES = {"probe": PROBE}
UNAVAILABLE = "STORE_UNAVAILABLE"
SMALL = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=4m none "$0" && exec "$@"',
]


def store_of(gateway: GatewayProcess) -> Path:
    return gateway.data_dir / "sessions.db"


async def until_refused(client: Client, session: str) -> int:
    """Call until the store takes no more. Returns how many calls were answered."""
    for answered in range(5000):
        try:
            await client.run(session=session)
        except CallFailed as error:
            check(error, UNAVAILABLE, "NOT_STARTED")
            return answered
    raise AssertionError("the store takes everything")


async def after_a_kill(gateway: GatewayProcess, session: str, calls: int, text: str) -> None:
    """Kill the gateway, start the next one, and see that the session has its state and its exact count."""
    gateway.kill()
    await asyncio.to_thread(gateway.start)
    async with connected(gateway.address, "owner") as client:
        found = await client.get(session)
        assert (found.status, found.call_count) == (pb.SESSION_STATUS_ACTIVE, calls)
        assert (await client.run("recall", session=session)).output["memory"] == text


async def test_a_locked_store_is_told_and_comes_back_by_itself_and_nothing_is_lost(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await client.new("remember", {"text": "kept"})
            running = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "a"}, session=opened.id))
            assert await gate.arrival() == "a"
            with locked(store_of(gateway)):
                await refused(client.keepalive(opened.id), UNAVAILABLE)
                await refused(client.run(session=opened.id), UNAVAILABLE, "NOT_STARTED")
                assert await health.next() == NOT_SERVING
                for request in (
                    client.get(opened.id),
                    client.keepalive(opened.id),
                    client.end(opened.id),
                    client.list(),
                ):
                    await refused(request, UNAVAILABLE)
                await refused(client.new(), UNAVAILABLE, "NOT_STARTED")
                gate.open("a")
                answer = await running
                assert (answer.output["word"], answer.session.call_count) == ("a", 2)
                assert (await client.run()).output["calls"] == 1  # a plain call
            assert await health.next() == SERVING
            assert (await client.get(opened.id)).call_count == 2
            assert (await client.run(session=opened.id)).session.call_count == 3
        await after_a_kill(gateway, opened.id, 3, "kept")
        # Once for each change.
        assert gateway.log.count("the store is unavailable") == 1
        assert gateway.log.count("the store is available again") == 1


async def test_a_call_that_meets_a_lock_runs_and_is_on_record_when_the_lock_has_gone(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await client.new("remember", {"text": "kept"})
            with locked(store_of(gateway)):
                answer = await client.run("recall", session=opened.id)
                assert (answer.output["memory"], answer.session.call_count) == ("kept", 2)
                # What it leaves behind is in the way of the next one, which would be ahead of the record by two.
                await refused(client.run(session=opened.id), UNAVAILABLE, "NOT_STARTED")
                assert await health.next() == NOT_SERVING
            assert await health.next() == SERVING
            assert (await client.get(opened.id)).call_count == 2
        await after_a_kill(gateway, opened.id, 2, "kept")


async def test_a_store_that_cannot_write_its_files_is_told_and_comes_back_by_itself(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await client.new("remember", {"text": "kept"})
            with no_file_larger_than(gateway.pid, (gateway.data_dir / "sessions.db-wal").stat().st_size):
                answered = await until_refused(client, opened.id)
                assert await health.next() == NOT_SERVING
                await refused(client.get(opened.id), UNAVAILABLE)
            assert await health.next() == SERVING
            assert (await client.get(opened.id)).call_count == 1 + answered
        await after_a_kill(gateway, opened.id, 1 + answered, "kept")


@contextmanager
def on_a_small_disk(data_dir: Path) -> Iterator[tuple[GatewayProcess, Path]]:
    """Start a gateway whose data directory is a file system of 4 MB, seen by it alone. Yields our way into it."""
    data_dir.mkdir(parents=True)
    trial = subprocess.run([*SMALL, str(data_dir), "true"], capture_output=True, text=True, check=False)
    if trial.returncode:
        pytest.skip(f"no file system can be mounted here: {trial.stderr.strip()}")
    with GatewayProcess(data_dir, PROBES, ["--min-idle", "1"], launcher=[*SMALL, str(data_dir)]) as gateway:
        yield gateway, Path(f"/proc/{gateway.pid}/root") / data_dir.relative_to("/")


async def test_a_full_disk_is_told_and_once_there_is_room_again_nothing_is_lost(data_dir: Path) -> None:
    with on_a_small_disk(data_dir) as (gateway, inside):
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await client.new("remember", {"text": "kept"})
            fill(inside / "filler")
            answered = await until_refused(client, opened.id)
            assert await health.next() == NOT_SERVING
            assert "there is no room left to write" in gateway.log
            (inside / "filler").unlink()
            assert await health.next() == SERVING
            assert (await client.get(opened.id)).call_count == 1 + answered
            recalled = await client.run("recall", session=opened.id)
            assert recalled.output["memory"] == "kept"
            assert recalled.session.call_count == 2 + answered


def fill(path: Path) -> None:
    """Write until there is no room left, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


async def test_a_worker_that_dies_while_the_store_is_locked_is_told_and_is_on_record_afterwards(
    data_dir: Path, gate: Gate
) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await client.new()
            running = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "a"}, session=opened.id))
            assert await gate.arrival() == "a"
            with locked(store_of(gateway)):
                await refused(client.keepalive(opened.id), UNAVAILABLE)
                await refused(client.run(session=opened.id), UNAVAILABLE, "NOT_STARTED")
                assert await health.next() == NOT_SERVING
                kill_worker(data_dir, opened.session.worker_id)
                lost = await refused(running, "WORKER_LOST", "UNKNOWN")
                assert lost.detail.worker_exit.signal == 9
                await refused(client.run(session=opened.id), UNAVAILABLE, "NOT_STARTED")
            assert await health.next() == SERVING
            ended = await refused(client.run(session=opened.id), "SESSION_ENDED", "NOT_STARTED")
            assert ended.end_reason == "WORKER_LOST"
            assert (await client.get(opened.id)).call_count == 2


async def test_the_python_client_rides_out_a_short_trouble_without_its_user_noticing(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway, ExitStack() as trouble:
        async with (
            connected(gateway.address) as client,
            watched_health(client.channel) as health,
            AsyncInference(address=gateway.address) as sdk,
            sdk.session("probe", session_timeout=3) as session,
        ):
            opened = (await session.call("run", {})).session_id or ""
            async with sdk.stream_keepalive([opened]) as keepalive:
                assert (await anext(keepalive)).error is None
                trouble.enter_context(locked(store_of(gateway)))
                call = asyncio.create_task(session.call("run", {}))
                assert await health.next() == NOT_SERVING
                trouble.close()
                assert await health.next() == SERVING
                assert (await call).output["calls"] == 2
                for _ in range(2):
                    assert (await asyncio.wait_for(anext(keepalive), DEADLINE)).error is None
            assert (await client.get(opened)).call_count == 2


async def test_a_gateway_without_a_store_that_it_can_write_refuses_to_start_and_leaves_the_file_alone(
    data_dir: Path,
) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        pass
    store = store_of(gateway)
    before = content(store)
    readonly = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    readonly += ['mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', str(store)]
    trial = subprocess.run([*readonly, "true"], capture_output=True, text=True, check=False)  # noqa: ASYNC221
    if trial.returncode:
        pytest.skip(f"no file can be mounted read-only here: {trial.stderr.strip()}")
    with pytest.raises(RuntimeError, match="readonly"), GatewayProcess(data_dir, PROBES, launcher=readonly):
        pass
    assert content(store) == before
    assert not [name for name in os.listdir(data_dir) if "corrupt" in name]  # noqa: PTH208


def content(path: Path) -> bytes:
    return path.read_bytes()
