"""`limits.max_lifetime`: how long a session lives at the most, whatever is done in it."""

import asyncio
from pathlib import Path

import pytest

from gateway.testing.clock import FakeClock
from gateway.testing.gate import Gate
from gateway.testing.waiting import until
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import counted, failure
from tests.scenarios.conftest import PROBE, StartVirtual
from tests.scenarios.failures import refused
from tests.scenarios.limited import limited

LIFETIME = 300
ENDED = (pb.SESSION_STATUS_ENDED, errors_pb2.END_REASON_MAX_LIFETIME)
AWARE = Path(__file__).parent.parent / "apps" / "aware"

Apps = dict[str, Path]


@pytest.fixture
def apps(tmp_path: Path) -> Apps:
    return {"probe": limited(PROBE, tmp_path / "probe", max_lifetime=LIFETIME)}


def standing(session: pb.Session) -> tuple[int, int]:
    return session.status, session.end_reason


async def test_a_session_ends_when_it_has_lived_for_long_enough_and_not_before(
    start_virtual: StartVirtual, apps: Apps
) -> None:
    virtual = await start_virtual(apps)
    session = (await virtual.client.new(session_timeout=3600)).id
    await virtual.clock.advance(LIFETIME - 1)
    await virtual.client.keepalive(session)
    assert (await virtual.client.run(session=session)).output["calls"] == 2
    await virtual.clock.advance(0.99)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE
    await virtual.clock.advance(0.01)
    ended = await virtual.client.get(session)
    assert standing(ended) == ENDED
    assert ended.ended_at.ToMilliseconds() - ended.created_at.ToMilliseconds() == LIFETIME * 1000
    refusal = await refused(virtual.client.run(session=session), "SESSION_ENDED", "NOT_STARTED")
    assert (refusal.info.metadata["endReason"], refusal.end_reason) == ("MAX_LIFETIME", "MAX_LIFETIME")


async def test_a_call_in_flight_does_not_prolong_it_and_is_told_so(
    start_virtual: StartVirtual, apps: Apps, gate: Gate
) -> None:
    virtual = await start_virtual(apps)
    session = (await virtual.client.new(session_timeout=3600)).id
    call = virtual.client.run("hold", {"gate": gate.path, "word": "w"}, session=session, deadline=None)
    running = asyncio.create_task(call)
    await gate.arrival()
    waiting = asyncio.create_task(virtual.client.run(session=session, deadline=None))
    await counted(virtual.client, session, 3)
    await virtual.clock.advance(LIFETIME)
    for answer, state in ((running, "UNKNOWN"), (waiting, "NOT_STARTED")):
        assert (await refused(answer, "SESSION_ENDED", state)).end_reason == "MAX_LIFETIME"
    assert await gate.departure() == "w"
    assert (await virtual.client.get(session)).call_count == 2


async def test_a_session_that_is_idle_before_that_expires_as_ever(start_virtual: StartVirtual, apps: Apps) -> None:
    virtual = await start_virtual(apps)
    session = (await virtual.client.new(session_timeout=LIFETIME - 1)).id
    await virtual.clock.advance(LIFETIME)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_EXPIRED


@pytest.mark.parametrize(("meanwhile", "left"), [(LIFETIME - 100, 100), (LIFETIME, 0), (LIFETIME + 1000, 0)])
async def test_it_is_counted_on_while_no_gateway_is_there(
    start_virtual: StartVirtual, apps: Apps, caplog: pytest.LogCaptureFixture, meanwhile: float, left: float
) -> None:
    clock = FakeClock()
    first = await start_virtual(apps, clock=clock, server={"drain": "keep"})
    session = (await first.client.new(session_timeout=3600)).id
    await start_virtual.stop()
    await clock.advance(meanwhile)
    second = await start_virtual(apps, clock=clock)
    if left:
        assert (await second.client.run(session=session)).output["calls"] == 2
        await clock.advance(left - 1)
        assert (await second.client.get(session)).status == pb.SESSION_STATUS_ACTIVE
        await clock.advance(1)
    assert (await failure(second.client.run(session=session))).end_reason == "MAX_LIFETIME"
    assert standing(await second.client.get(session)) == ENDED
    # The gateway that is gone has left no timer that would come to sessions which are no longer its own.
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_session_that_is_due_at_that_very_moment_expires(start_virtual: StartVirtual, apps: Apps) -> None:
    virtual = await start_virtual(apps)
    session = (await virtual.client.new(session_timeout=LIFETIME)).id
    await virtual.clock.advance(LIFETIME)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_EXPIRED


async def test_the_app_hears_why_its_session_ends(start_virtual: StartVirtual, tmp_path: Path) -> None:
    app, diary = limited(AWARE, tmp_path / "aware", max_lifetime=LIFETIME), tmp_path / "diary"
    virtual = await start_virtual({"aware": app})
    await virtual.client.new("run", {"diary": str(diary)}, app="aware", session_timeout=3600)
    await virtual.clock.advance(LIFETIME)
    await until(lambda: diary.exists() and "unload" in diary.read_text())
    assert diary.read_text() == "on_end max_lifetime in no call\nunload\n"
