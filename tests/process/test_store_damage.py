"""Gateways whose store is damaged, deleted or replaced, while they run and before they start."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gateway.model import EndReason, Session
from gateway.stores.sqlite import SqliteStore
from gateway.testing.process import GatewayProcess
from gateway.testing.store_harness import a_session, at
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import eventually, wait_for_exit, worker_pid
from tests.process.trouble import NOT_SERVING, SERVING, watched_health
from tests.scenarios.client import Answer, Client, connected, failure
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
PAGE = 4096
TOMBSTONES = 4000


def store_of(data_dir: Path) -> Path:
    return data_dir / "sessions.db"


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def overwrite(path: Path, offset: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(noise(size))


def unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def files(data_dir: Path, label: str) -> list[str]:
    """Return the names of what was set aside under a label, without sidecars."""
    names = [path.name for path in data_dir.iterdir()]
    return [name for name in names if f".{label}-" in name and not name.endswith(("-wal", "-shm"))]


async def opened_with_state(client: Client) -> Answer:
    opened = await client.new("remember", {"text": "kept"}, session_timeout=300)
    return await client.run("recall", session=opened.id)


async def goes_on(client: Client, session: str, calls: int) -> None:
    """See that a session has its state and its exact count."""
    assert (await client.get(session)).call_count == calls
    recalled = await client.run("recall", session=session)
    assert (recalled.output["memory"], recalled.session.call_count) == ("kept", calls + 1)


def cut(path: Path) -> None:
    os.truncate(path, 0)


def drop(*suffixes: str) -> Callable[[Path], None]:
    return lambda path: unlink(path.with_name(path.name + suffix) for suffix in suffixes)


def replace(path: Path) -> None:
    backup = path.with_name("backup")
    backup.write_bytes(b"somebody's backup")
    backup.rename(path)


TROUBLES = {
    "deleted": drop(""),
    "its log deleted": drop("-wal"),
    "its index deleted": drop("-shm"),
    "all of it deleted": drop("", "-wal", "-shm"),
    "replaced": replace,
    "cut": cut,
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_files_that_go_while_the_gateway_runs_are_written_back_and_no_session_is_lost(
    data_dir: Path, trouble: str
) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened, ended = await opened_with_state(client), await client.new()
            await client.end(ended.id)
            TROUBLES[trouble](store_of(data_dir))
            # Noticed although nobody calls.
            assert await health.next() == NOT_SERVING
            assert await health.next() == SERVING
            await goes_on(client, opened.id, 2)
            assert (await client.get(ended.id)).status == pb.SESSION_STATUS_ENDED
        assert gateway.log.count("the store is unavailable") == 1
        assert len(files(data_dir, "replaced")) == (1 if trouble in ("replaced", "cut") else 0)
        gateway.kill()
        await asyncio.to_thread(gateway.start)
        async with connected(gateway.address, "owner") as client:
            await goes_on(client, opened.id, 3)
            assert (await client.get(ended.id)).status == pb.SESSION_STATUS_ENDED


async def test_without_its_whole_data_directory_a_gateway_keeps_its_sessions_until_it_stops(data_dir: Path) -> None:
    # No worker is being started meanwhile, whose files would come between.
    with GatewayProcess(data_dir, PROBES, ("--min-idle", "0")) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await client.new("run", session_timeout=300)
            worker = worker_pid(data_dir, opened.session.worker_id)
            shutil.rmtree(data_dir)
            assert await health.next() == NOT_SERVING
            assert await health.next() == SERVING
            assert (await client.run("run", session=opened.id)).session.call_count == 2
            assert (await client.end(opened.id)).status == pb.SESSION_STATUS_ENDED
            await asyncio.to_thread(wait_for_exit, [worker])


@pytest.mark.parametrize("offset", [0, PAGE, 3 * PAGE])
async def test_live_sessions_survive_damage_that_a_start_finds(data_dir: Path, offset: int) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as gateway:
        async with connected(gateway.address, "owner") as client:
            sessions = [await opened_with_state(client) for _ in range(3)]
        assert gateway.stop() == 0
        # Stopped in an orderly way: all of it is in the one file.
        overwrite(store_of(data_dir), offset, 100)
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address, "owner") as client:
                for session in sessions:
                    await goes_on(client, session.id, 2)
            assert "is damaged" in second.log
            (kept,) = files(data_dir, "corrupt")
            assert kept in second.log


async def test_damage_that_is_met_while_the_gateway_runs_costs_no_live_session(data_dir: Path) -> None:
    tombstones = [a_session(owner="." * 1000 + str(number)) for number in range(TOMBSTONES)]
    await prepared(data_dir, tombstones)
    with GatewayProcess(data_dir, PROBES, environment={"SGW_SESSIONS_RETENTION": "1e12"}) as gateway:
        async with connected(gateway.address, "owner") as client, watched_health(client.channel) as health:
            opened = await opened_with_state(client)
            damage(store_of(data_dir))
            assert "STORE_UNAVAILABLE" in [
                (await failure(client.get(session.id))).code for session in tombstones[::100]
            ]
            assert await health.next() == NOT_SERVING
            assert await health.next() == SERVING
            await goes_on(client, opened.id, 2)
            assert [session.id for session in (await client.list()).sessions] == [opened.id]
        await eventually("the report", lambda: "is damaged" in gateway.log)
        assert len(files(data_dir, "corrupt")) == 1
        gateway.kill()
        await asyncio.to_thread(gateway.start)
        async with connected(gateway.address, "owner") as client:
            await goes_on(client, opened.id, 3)


async def prepared(data_dir: Path, tombstones: list[Session]) -> None:
    """Make a store with finished sessions, larger than what a gateway has in its cache."""
    store = SqliteStore(store_of(data_dir))
    await store.open()
    await store.restore(tombstones, 0.0)
    for session in tombstones:
        await store.end(session.id, EndReason.CALLER, at(1))
    await store.close()


def damage(path: Path) -> None:
    """Overwrite everything but the first page."""
    overwrite(path, PAGE, path.stat().st_size - PAGE)


async def test_a_store_that_cannot_be_read_at_all_is_set_aside_and_the_workers_without_a_record_are_named(
    data_dir: Path,
) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as gateway:
        async with connected(gateway.address, "owner") as client:
            opened = await opened_with_state(client)
            worker = worker_pid(data_dir, opened.session.worker_id)
        assert gateway.stop() == 0
        overwrite(store_of(data_dir), 0, store_of(data_dir).stat().st_size)
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address, "owner") as client:
                await asyncio.to_thread(wait_for_exit, [worker])
                await refused(client.get(opened.id), "SESSION_NOT_FOUND")
                assert (await client.new()).output["calls"] == 1
            assert f"session {opened.id} is not on record" in second.log
            assert len(files(data_dir, "corrupt")) == 1


async def test_a_store_that_is_deleted_just_before_the_stop_is_written_back_with_every_session(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as gateway:
        async with connected(gateway.address) as client:
            session = await opened_with_state(client)
        unlink(store_of(data_dir).with_name(f"sessions.db{suffix}") for suffix in ("", "-wal", "-shm"))
        gateway.terminate()
        await asyncio.to_thread(gateway.wait)
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                await goes_on(client, session.id, 2)
