"""Connections that end again and again, and clients that do not notice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway import AsyncInference
from tests.process.observe import DEADLINE
from tests.scenarios.conftest import PROBE
from tests.tls.served import TRANSPORTS

pytestmark = pytest.mark.timeout(90)

AGE = {"SGW_SERVER_MAX_CONNECTION_AGE": "0.3", "SGW_SERVER_MAX_CONNECTION_AGE_GRACE": "2"}
"""The grace is longer than any call takes here; streams are cut after it."""

ENOUGH = 10
"""Connections: so many take longer than the age and the grace of the first."""


@pytest.fixture(params=TRANSPORTS)
def gateway(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[GatewayProcess]:
    environment = {"SGW_SERVER_TRANSPORT": request.param, **AGE}
    with GatewayProcess(data_dir, {"probe": PROBE}, environment=environment) as process:
        yield process


def ports(gateway: GatewayProcess) -> set[str]:
    """Return the local ends of the connections that there are to a gateway."""
    there = f":{int(gateway.address.rpartition(':')[2]):04X}"
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()]
    return {fields[1] for fields in lines if fields[2].endswith(there) and fields[3] == "01"}


async def test_calls_and_renewals_go_on_over_one_connection_after_another(gateway: GatewayProcess) -> None:
    async with AsyncInference(address=gateway.address, timeout=DEADLINE) as client:
        lost: list[object] = []
        async with client.session("probe", session_timeout=1, keepalive=True, on_lost=lost.append) as session:
            seen: set[str] = set()
            calls = 0
            async with asyncio.timeout(60):
                while len(seen) < ENOUGH:
                    calls += 1
                    assert (await session.call()).output["calls"] == calls
                    seen |= ports(gateway)
            assert lost == []


async def test_a_watch_that_is_cut_off_goes_on_where_it_was(gateway: GatewayProcess) -> None:
    async with AsyncInference(address=gateway.address, timeout=DEADLINE) as client:
        seen: set[str] = set()
        opened: list[str] = []
        async with asyncio.timeout(60), client.sessions.watch() as events:
            while len(seen) < ENOUGH:
                opened.append((await client.run(app="probe", session="new")).session_id)
                event = await anext(events)
                assert event.session is not None
                assert (event.event, event.session.id) == ("created", opened[-1])
                seen |= ports(gateway)
                await client.sessions.end(opened[-1])
                event = await anext(events)
                assert event.session is not None
                assert (event.event, event.session.id) == ("ended", opened[-1])
