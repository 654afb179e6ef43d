"""What the contract says of a session, seen by clients that go round three gateway processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.share import Share
from gateway.testing.process import GatewayProcess
from sessiongateway import AsyncInference, KeepaliveEvent, SessionEndedError, SessionExpiredError, WatchEvent
from tests.process.names import naming
from tests.process.observe import DEADLINE, eventually
from tests.process.test_round_robin import HOSTS, THREE, port_of, reached
from tests.scenarios.conftest import PROBE

pytestmark = pytest.mark.timeout(120)

CALLS = 12
TIMEOUT = 2


@pytest.fixture
def gateway(data_dir: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(data_dir, {"probe": PROBE}, THREE) as process:
        yield process


@dataclass(frozen=True)
class Clients:
    """One that goes round, and one for each address."""

    round: AsyncInference
    each: list[AsyncInference]

    async def opened_in_every_process(self, timeout: int) -> list[str]:
        """Open sessions until each process has one."""
        ids: list[str] = []
        async with asyncio.timeout(DEADLINE):
            for number in range(1000):
                # With a request_id they are dealt out evenly, wherever their callers are connected.
                fields = {"app": "probe", "session": "new", "session_timeout": timeout, "request_id": f"new{number}"}
                ids.append((await self.round.run(fields)).session_id)
                if len({Share(0, len(HOSTS)).owner(each) for each in ids}) == len(HOSTS):
                    break
        return ids


@pytest.fixture
async def clients(gateway: GatewayProcess) -> AsyncIterator[Clients]:
    port = port_of(gateway)
    async with AsyncExitStack() as stack:
        _, name = await stack.enter_async_context(naming(HOSTS, port))
        everywhere = await stack.enter_async_context(AsyncInference(address=name, timeout=30))
        each = [await stack.enter_async_context(AsyncInference(address=f"{host}:{port}", timeout=30)) for host in HOSTS]
        await everywhere.run(app="probe")
        await eventually("a connection to each address", lambda: reached(port) == set(HOSTS))
        yield Clients(everywhere, each)


async def test_calls_sent_at_once_run_one_after_another_and_each_counts_once(clients: Clients) -> None:
    for session_id in await clients.opened_in_every_process(60):
        answers = await asyncio.gather(
            *(
                clients.round.run(app="probe", session=session_id, request_id=f"r{number % 6}")
                for number in range(CALLS)
            )
        )
        # Each was sent twice, over whichever connections, and ran once: after the one that opened the session.
        numbers = sorted(answer.output["calls"] for answer in answers)
        assert numbers == sorted([*range(2, 8), *range(2, 8)])
        assert {(await client.sessions.get(session_id)).call_count for client in clients.each} == {7}


async def test_a_session_expires_once_and_every_process_tells_the_same_of_it(clients: Clients) -> None:
    async with AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(client.sessions.watch()) for client in clients.each]
        ids = set(await clients.opened_in_every_process(1))
        last = (await clients.round.run(app="probe", session="new", session_timeout=3)).session_id
        told: list[list[WatchEvent]] = []
        for watch in watches:
            events: list[WatchEvent] = []
            async with asyncio.timeout(DEADLINE):
                # What expires last is told last: a second end of another would have come before it.
                while not events or (events[-1].event, _id(events[-1])) != ("expired", last):
                    events.append(await anext(watch))
            told.append(events)
    order = [(event.event, _id(event)) for event in told[0]]
    assert all([(event.event, _id(event)) for event in events] == order for events in told)
    assert sorted(order) == sorted((event, each) for event in ("created", "expired") for each in {*ids, last})
    for session_id in ids:
        records = [await client.sessions.get(session_id) for client in clients.each]
        assert {(record.status, record.ended_at) for record in records} == {("expired", records[0].ended_at)}
        due, ended = records[0].expires_at, records[0].ended_at
        assert due is not None
        assert ended is not None
        assert ended >= due
        for client in clients.each:
            with pytest.raises(SessionExpiredError) as refused:
                await client.run(app="probe", session=session_id)
            assert refused.value.run_state == "not_started"


async def test_sessions_on_keepalive_streams_live_on_and_every_stream_tells_their_end(clients: Clients) -> None:
    ids = await clients.opened_in_every_process(TIMEOUT)
    began = {session_id: await clients.round.sessions.get(session_id) for session_id in ids}
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.stream_keepalive(ids)) for client in clients.each]

        async def outlives(stream: AsyncIterator[KeepaliveEvent]) -> None:
            """Read until each session has been promised a time that it would not have seen without being renewed."""
            renewed: set[str] = set()
            while renewed != set(ids):
                event = await anext(stream)
                assert event.error is None
                assert event.session is not None
                until, at_first = event.session.expires_at, began[event.session_id].expires_at
                assert until is not None
                assert at_first is not None
                if (until - at_first).total_seconds() > TIMEOUT:
                    renewed.add(event.session_id)

        async with asyncio.timeout(2 * DEADLINE):
            await asyncio.gather(*map(outlives, streams))
        for session_id in ids:
            await clients.round.sessions.end(session_id)
        async with asyncio.timeout(DEADLINE):
            for stream in streams:
                ends = [event async for event in stream if event.error is not None]
                assert sorted(event.session_id for event in ends) == sorted(ids)
                reasons = [(type(event.error), event.error.end_reason) for event in ends if event.error is not None]
                assert set(reasons) == {(SessionEndedError, "caller")}


def _id(event: WatchEvent) -> str:
    assert event.session is not None
    return str(event.session.id)
