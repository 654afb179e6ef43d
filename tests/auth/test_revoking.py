"""What becomes of callers whose key is revoked, or expires, while they are served."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.keyfile import KeyFile
from gateway.auth.keys import Key, Scope
from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from tests.auth.issuing import gone, issue, known, revoke, shown_by
from tests.process.observe import eventually
from tests.scenarios.client import CallFailed, Client, connected
from tests.scenarios.failures import refused

_numbers = itertools.count()


@pytest.fixture
async def nobody(gateway: GatewayProcess) -> AsyncIterator[Client]:
    async with connected(gateway.address) as client:
        yield client


async def holder(
    gateway: GatewayProcess, nobody: Client, *scopes: Scope, lasts: timedelta | None = None
) -> tuple[Client, Key]:
    key, shown = issue(gateway.data_dir, f"test-{next(_numbers)}", *scopes, lasts=lasts)
    client = nobody.as_caller(shown)
    await known(client)
    return client, key


async def test_every_open_stream_of_a_revoked_key_ends_and_those_of_others_go_on(
    gateway: GatewayProcess, nobody: Client, gate: Gate
) -> None:
    (mine, key), (theirs, _) = await holder(gateway, nobody), await holder(gateway, nobody)
    session, other = await mine.new("run"), await theirs.new("run")
    async with (
        mine.keepalive_stream() as stream,
        mine.watch() as watch,
        theirs.keepalive_stream() as their_stream,
        theirs.watch() as their_watch,
    ):
        await stream.renew(session.id)
        await watch.receive()
        await their_stream.renew(other.id)
        await their_watch.receive()
        running = mine.stream("pause", {"gate": gate.path}, session=session.id)
        assert await running.receive() == {"at": "gate"}
        await gate.arrival()
        revoke(gateway.data_dir, key)
        await refused(stream.receive(), "UNAUTHENTICATED", "")
        await refused(watch.receive(), "UNAUTHENTICATED", "")
        await refused(running.receive(), "UNAUTHENTICATED", "UNKNOWN")
        assert await gate.departure() == "pause"
        assert (await their_stream.renew(other.id))[0].session.id == other.id
        await theirs.end(other.id)
        assert (await their_watch.receive()).session.id == other.id


async def test_a_stream_whose_reader_has_stopped_reading_is_ended_too(
    gateway: GatewayProcess, nobody: Client, tmp_path: Path
) -> None:
    (mine, key), (admin, _) = await holder(gateway, nobody), await holder(gateway, nobody, Scope.ADMIN)
    session, progress = await mine.new("run"), tmp_path / "progress"
    flood = {"outputs": 1_000_000, "bytes": 64 * 1024, "file": str(progress)}
    running = mine.stream("flood", flood, session=session.id)
    await running.receive()
    revoke(gateway.data_dir, key)
    await gone(mine)
    # Its turn is over though nobody reads: a call of another key's could not tell, but the end of the session can.
    await admin.end(session.id)
    with pytest.raises(CallFailed) as ended:
        await running.rest()
    assert ended.value.code == "UNAUTHENTICATED"


async def test_every_process_ends_its_streams(gateway: GatewayProcess, nobody: Client) -> None:
    mine, key = await holder(gateway, nobody)
    async with AsyncExitStack() as stack:
        watches = []
        for _ in range(8):
            client = await stack.enter_async_context(connected(gateway.address, shown_by(mine)))
            await known(client)
            watch = await stack.enter_async_context(client.watch())
            await watch.receive()
            watches.append(watch)
        revoke(gateway.data_dir, key)
        for watch in watches:
            await refused(watch.receive(), "UNAUTHENTICATED", "")


async def test_a_call_that_runs_when_its_key_is_revoked_is_answered(
    gateway: GatewayProcess, nobody: Client, gate: Gate
) -> None:
    mine, key = await holder(gateway, nobody)
    session = await mine.new("run")
    running = asyncio.create_task(mine.run("hold", {"gate": gate.path}, session=session.id))
    await gate.arrival()
    revoke(gateway.data_dir, key)
    await gone(mine)
    gate.open()
    assert (await running).output["word"] == ""
    await refused(mine.run("run", session=session.id), "UNAUTHENTICATED", "NOT_STARTED")


async def test_the_sessions_of_a_revoked_key_live_on_for_an_admin_to_end(
    gateway: GatewayProcess, nobody: Client
) -> None:
    (mine, key), (admin, _) = await holder(gateway, nobody), await holder(gateway, nobody, Scope.ADMIN)
    session = await mine.new("run")
    revoke(gateway.data_dir, key)
    await gone(mine)
    assert not (await admin.get(session.id)).end_reason
    assert (await admin.end(session.id)).end_reason


async def test_a_key_expires_by_itself_and_so_do_its_streams(gateway: GatewayProcess, nobody: Client) -> None:
    mine, _ = await holder(gateway, nobody, lasts=timedelta(seconds=6))
    async with mine.watch() as watch:
        await watch.receive()
        await refused(watch.receive(), "UNAUTHENTICATED", "")
    await refused(mine.run("run"), "UNAUTHENTICATED", "NOT_STARTED")


async def test_the_first_key_closes_an_open_gateway_with_its_streams(data_dir: Path) -> None:
    with GatewayProcess(data_dir) as gateway:
        async with connected(gateway.address) as anybody, anybody.watch() as watch:
            await watch.receive()
            assert "callers need no API key" in gateway.log
            _, shown = issue(data_dir, "first")
            await refused(watch.receive(), "UNAUTHENTICATED", "")
            await gone(anybody)
            await gone(anybody.as_caller("any"))
            await known(anybody.as_caller(shown))


async def test_no_key_opens_a_gateway_whose_file_of_keys_is_damaged_until_it_is_mended(data_dir: Path) -> None:
    _, shown = issue(data_dir, "me")
    path = KeyFile(data_dir).path
    with GatewayProcess(data_dir) as gateway:
        async with connected(gateway.address) as nobody:
            mine = nobody.as_caller(shown)
            await known(mine)
            good = path.read_bytes()
            path.write_bytes(good[:-9])
            await gone(mine)
            await gone(nobody)
            await eventually("the log says so", lambda: str(path) in gateway.log)
            path.write_bytes(good)
            await known(mine)
            assert shown not in gateway.log
