"""A watch over gateways that die and come back: nothing is missing, nothing comes twice, and all in its order."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway import AsyncInference, WatchEvent
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import DEADLINE, eventually, kill_worker
from tests.scenarios.client import CallFailed, Client, connected, told
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
OWNER = "owner"
LIVES = 4
EVENTS_PER_LIFE = 25
WATCHING = ("WATCHING", "")

Told = list[tuple[str, str]]


class Busy:
    """Callers that open and end sessions, kill workers, and let sessions expire, until they are stopped."""

    def __init__(self, client: Client, data_dir: Path) -> None:
        self._client = client
        self._data_dir = data_dir

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._play(number)) for number in range(3)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, offset: int) -> None:
        for number in itertools.count(offset):
            # A gateway that is killed fails the call under way, and with it this step.
            with contextlib.suppress(CallFailed, FileNotFoundError, ProcessLookupError):
                opened = await self._client.new("run", session_timeout=1 if number % 4 == 0 else 60)
                if number % 4 == 1:
                    kill_worker(self._data_dir, opened.session.worker_id)
                elif number % 4 > 1:
                    await self._client.end(opened.id)


async def every_session(client: Client) -> dict[str, pb.Session]:
    """Return all sessions on record by their ids."""
    found: dict[str, pb.Session] = {}
    token = ""
    while True:
        page = await client.list(page_size=1000, page_token=token)
        found |= {session.id: session for session in page.sessions}
        token = page.next_page_token
        if not token:
            return found


async def everything_ended(client: Client) -> dict[str, pb.Session]:
    """End what is active, and return all sessions on record."""
    for id, session in (await every_session(client)).items():
        if session.status == pb.SESSION_STATUS_ACTIVE:
            await client.end(id)
    return await every_session(client)


def what_happened(sessions: dict[str, pb.Session]) -> Told:
    """Return the events that led to these records, in no order."""
    events = [("CREATED", id) for id in sessions]
    for session in sessions.values():
        if session.status == pb.SESSION_STATUS_EXPIRED:
            events.append(("EXPIRED", session.id))
        elif session.status == pb.SESSION_STATUS_ENDED:
            lost = session.HasField("worker_exit")
            events.append(("WORKER_LOST" if lost else "ENDED", session.id))
    return events


async def read_on(client: Client, token: str, events: list[pb.WatchSessionsResponse], count: int) -> str:
    """Read so many events behind the token, and return the token behind them."""
    async with client.watch(token) as watch:
        while count:
            message = await watch.receive()
            token = message.resume_token
            if told(message) != WATCHING:
                events.append(message)
                count -= 1
    return token


@pytest.mark.timeout(120)
async def test_a_watch_that_is_resumed_after_each_kill_tells_exactly_what_happened(data_dir: Path) -> None:
    seen: list[pb.WatchSessionsResponse] = []
    token = start = ""
    with GatewayProcess(data_dir, PROBES, drain="keep") as gateway:
        for _ in range(LIVES):
            async with connected(gateway.address, OWNER) as client:
                if not start:
                    async with client.watch() as watch:
                        token = start = (await watch.receive()).resume_token
                async with Busy(client, data_dir).running():
                    token = await read_on(client, token, seen, EVENTS_PER_LIFE)
                    gateway.kill()
            await asyncio.to_thread(gateway.start)
        async with connected(gateway.address, OWNER) as client:
            expected = what_happened(await everything_ended(client))
            await read_on(client, token, seen, len(expected) - len(seen))
            again: list[pb.WatchSessionsResponse] = []
            await read_on(client, start, again, len(seen))
    assert sorted(map(told, seen)) == sorted(expected)
    # In the order in which it happened, and the same again for whoever begins at the beginning.
    times = [message.occurred_at.ToNanoseconds() for message in seen]
    assert times == sorted(times)
    assert again == seen
    assert {name for name, _ in map(told, seen)} == {"CREATED", "ENDED", "EXPIRED", "WORKER_LOST"}


@pytest.mark.timeout(120)
async def test_a_client_of_the_sdk_reads_on_over_kills_and_restarts_by_itself(data_dir: Path) -> None:
    seen: list[WatchEvent] = []
    first = GatewayProcess(data_dir, PROBES, drain="keep")
    with first:
        async with AsyncInference(OWNER, first.address) as sdk, sdk.sessions.watch() as stream:
            start = stream.resume_token
            reading = asyncio.create_task(_collect(stream, seen))
            async with connected(first.address, OWNER) as client, Busy(client, data_dir).running():
                await eventually("events", lambda: len(seen) > EVENTS_PER_LIFE)
                first.kill()
            for how in ("kill", "stop"):
                before = len(seen)
                with GatewayProcess(data_dir, PROBES, ["--listen", first.address], drain="keep") as next_one:
                    async with connected(next_one.address, OWNER) as client, Busy(client, data_dir).running():
                        await eventually("events", lambda: len(seen) > before + EVENTS_PER_LIFE, 2 * DEADLINE)  # noqa: B023
                        if how == "kill":
                            next_one.kill()
                    if how == "stop":
                        await asyncio.to_thread(next_one.stop)
            with GatewayProcess(data_dir, PROBES, ["--listen", first.address]) as last:
                async with connected(last.address, OWNER) as client:
                    expected = what_happened(await everything_ended(client))
                    await eventually("the last event", lambda: len(seen) >= len(expected), 2 * DEADLINE)
                    reading.cancel()
                    reference: list[pb.WatchSessionsResponse] = []
                    await read_on(client, start, reference, len(expected))
    told_by_sdk = [(event.event.upper(), event.session.id if event.session else "") for event in seen]
    assert told_by_sdk == [told(message) for message in reference]
    assert sorted(told_by_sdk) == sorted(expected)


async def _collect(stream: AsyncIterator[WatchEvent], seen: list[WatchEvent]) -> None:
    async for event in stream:
        seen.append(event)  # noqa: PERF401 - one by one: the test looks at the list meanwhile


async def test_a_gateway_that_stops_tells_its_watches_and_the_next_one_goes_on(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address, OWNER) as client, client.watch() as watch:
            await watch.receive()
            opened = await client.new("run")
            token = (await watch.receive()).resume_token
            first.terminate()
            ended = await watch.receive()
            assert told(ended) == ("ENDED", opened.id)
            await refused(watch.receive(), "GATEWAY_DRAINING")
            assert await asyncio.to_thread(first.wait) == 0
    with GatewayProcess(data_dir, PROBES) as second:
        async with connected(second.address, OWNER) as client:
            async with client.watch(token) as watch:
                assert told(await watch.receive()) == WATCHING
                assert await watch.receive() == ended
            async with client.as_caller("somebody-else").watch(token) as watch:
                await refused(watch.receive(), "INVALID_REQUEST")


async def test_a_worker_that_died_with_its_gateway_is_told_by_the_next_one(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address, OWNER) as client, client.watch() as watch:
            await watch.receive()
            opened = await client.new("run")
            created = await watch.receive()
            first.kill()
            kill_worker(data_dir, opened.session.worker_id)
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address, OWNER) as client:
                seen: list[pb.WatchSessionsResponse] = []
                await read_on(client, created.resume_token, seen, 1)
                assert told(seen[0]) == ("WORKER_LOST", opened.id)
