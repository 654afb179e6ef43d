"""The sliding window, on virtual time over real gRPC (contract, rules 2 to 4)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.model import AppRef, Session
from gateway.stores.sqlite import SqliteStore
from gateway.testing.gate import Gate
from gateway.testing.waiting import until
from gateway.timing import ENDING_PAUSE
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Answer, Client, failure
from tests.scenarios.conftest import StartVirtual, VirtualGateway

START = 1_700_000_000
JUST_BELOW = 0.001


def expiry(session: pb.Session) -> float:
    """Return when a session expires, in seconds since the start of virtual time."""
    return session.expires_at.seconds - START + session.expires_at.nanos / 1e9


@pytest.mark.parametrize(
    ("timeout", "calls", "expected"),
    [
        (None, [0, 30, 80], [60, 90, 140]),
        (60, [0, 30, 80], [60, 90, 140]),
        (300, [0, 120, 360], [300, 420, 660]),
        (1, [0, 0.5, 1.25], [1, 1.5, 2.25]),
        (3600, [0, 3599, 7198], [3600, 7199, 10798]),
    ],
)
async def test_each_call_sets_the_expiry_to_now_plus_the_timeout(
    virtual: VirtualGateway, timeout: int | None, calls: list[float], expected: list[float]
) -> None:
    fields: dict[str, Any] = {} if timeout is None else {"session_timeout": timeout}
    first = await virtual.client.new(**fields)
    seen = [expiry(first.session)]
    for moment in calls[1:]:
        await virtual.clock.advance(moment - virtual.elapsed)
        answer = await virtual.client.run(session=first.id)
        assert answer.session.expires_in.ToSeconds() == (timeout or 60)
        seen.append(expiry(answer.session))
    assert seen == expected
    assert (await virtual.client.get(first.id)).call_count == len(calls)


async def test_a_session_lives_until_just_below_its_timeout_and_is_expired_at_it(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new(session_timeout=60)).id
    await virtual.clock.advance(60 - JUST_BELOW)
    before = await virtual.client.get(session)
    assert before.status == pb.SESSION_STATUS_ACTIVE
    assert before.expires_in.ToMilliseconds() == pytest.approx(1, abs=1)
    await virtual.clock.advance(JUST_BELOW)
    after = await virtual.client.get(session)
    assert after.status == pb.SESSION_STATUS_EXPIRED
    assert (after.expires_in.ToMilliseconds(), expiry(after)) == (0, 60)


async def test_a_call_just_below_the_timeout_is_admitted(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    await virtual.clock.advance(60 - JUST_BELOW)
    answer = await virtual.client.run(session=session)
    assert answer.output["calls"] == 2
    assert expiry(answer.session) == pytest.approx(120 - JUST_BELOW)


async def test_a_call_at_the_timeout_is_told_so_and_does_not_run(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new(session_timeout=5)).id
    await virtual.clock.advance(5)
    error = await failure(virtual.client.run(session=session))
    assert (error.code, error.run_state, error.end_reason) == ("SESSION_EXPIRED", "NOT_STARTED", "IDLE_TIMEOUT")
    assert error.info.metadata["sessionTimeout"] == "5"
    assert error.info.metadata["endedAt"] == "2023-11-14T22:13:25.000+00:00"
    assert (await virtual.client.get(session)).call_count == 1


async def test_an_idle_session_expires_and_releases_its_worker_with_nobody_asking(virtual: VirtualGateway) -> None:
    opened = await virtual.client.new(session_timeout=10)
    await virtual.clock.advance(10 - JUST_BELOW)
    assert virtual.gateway.pool.holder(opened.session.worker_id) == opened.id
    await virtual.clock.advance(2 * JUST_BELOW)
    stored = await virtual.gateway.store.get(opened.id)
    assert stored is not None
    assert stored.status.value == "expired"
    await virtual.clock.advance(ENDING_PAUSE)
    await until(lambda: virtual.gateway.pool.holder(opened.session.worker_id) is None)


async def test_a_keepalive_slides_the_window_by_the_sessions_own_timeout_without_a_call(
    virtual: VirtualGateway,
) -> None:
    session = (await virtual.client.new(session_timeout=300)).id
    await virtual.clock.advance(120)
    renewed = await virtual.client.keepalive(session)
    assert (expiry(renewed), renewed.expires_in.ToSeconds(), renewed.call_count) == (420, 300, 1)
    assert renewed.last_call_at.seconds == START


async def test_keepalives_keep_a_session_alive_for_many_timeouts(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    for _ in range(12):
        await virtual.clock.advance(8)
        await virtual.client.keepalive(session)
    assert (await virtual.client.run(session=session)).output["calls"] == 2


async def test_a_keepalive_at_the_timeout_comes_too_late(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    await virtual.clock.advance(10)
    error = await failure(virtual.client.keepalive(session))
    assert (error.code, error.run_state) == ("SESSION_EXPIRED", "")


async def test_reading_a_session_never_slides_its_window(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    for _ in range(5):
        await virtual.clock.advance(10)
        assert expiry(await virtual.client.get(session)) == 60
        assert [expiry(listed) for listed in (await virtual.client.list()).sessions] == [60]
    await virtual.clock.advance(10)
    assert (await virtual.client.list()).sessions[0].status == pb.SESSION_STATUS_EXPIRED


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"function": "nothing"}, "FUNCTION_NOT_FOUND"),
        ({"app": "other"}, "APP_MISMATCH"),
        ({"app": "probe@other"}, "VERSION_MISMATCH"),
        ({"worker_id": "wrk_none"}, "WORKER_NOT_FOUND"),
        ({"session_timeout": 30}, "INVALID_REQUEST"),
    ],
)
async def test_a_call_that_is_refused_slides_nothing_and_is_not_counted(
    virtual: VirtualGateway, fields: dict[str, Any], code: str
) -> None:
    session = (await virtual.client.new()).id
    await virtual.clock.advance(30)
    error = await failure(virtual.client.run(session=session, **fields))
    assert (error.code, error.run_state) == (code, "NOT_STARTED")
    after = await virtual.client.get(session)
    assert (expiry(after), after.call_count, after.last_call_at.seconds) == (60, 1, START)


async def test_an_input_that_the_app_refuses_is_not_counted_as_a_call(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    error = await failure(virtual.client.run("typed", {"number": "x"}, session=session))
    assert (error.code, error.run_state, error.detail.session_id) == ("INVALID_INPUT", "NOT_STARTED", session)
    after = await virtual.client.get(session)
    assert (after.status, after.call_count) == (pb.SESSION_STATUS_ACTIVE, 1)


async def test_a_call_that_raises_counts_and_slides_the_window(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    await virtual.clock.advance(30)
    assert (await failure(virtual.client.run("fail", session=session))).code == "APP_ERROR"
    after = await virtual.client.get(session)
    assert (expiry(after), after.call_count) == (90, 2)


async def test_a_call_in_flight_is_not_idle_and_its_end_slides_the_window(virtual: VirtualGateway, gate: Gate) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    call = asyncio.create_task(virtual.client.run("hold", {"gate": gate.path}, session=session))
    await gate.arrival()
    await virtual.clock.advance(300)
    during = await virtual.client.get(session)
    assert (during.status, during.expires_in.ToMilliseconds()) == (pb.SESSION_STATUS_ACTIVE, 0)
    gate.open()
    assert expiry((await call).session) == 310
    await virtual.clock.advance(10 - JUST_BELOW)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE
    await virtual.clock.advance(JUST_BELOW)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_EXPIRED


async def test_a_waiting_call_holds_the_session_too(virtual: VirtualGateway, gate: Gate) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    first = asyncio.create_task(held(virtual.client, gate, "1", session))
    await gate.arrival()
    second = asyncio.create_task(held(virtual.client, gate, "2", session))
    await calls_admitted(virtual.client, session, 3)
    await virtual.clock.advance(100)
    gate.open("1")
    assert expiry((await first).session) == 110
    assert await gate.arrival() == "2"
    await virtual.clock.advance(100)
    gate.open("2")
    assert expiry((await second).session) == 210


async def test_the_first_call_holds_its_session_too(virtual: VirtualGateway, gate: Gate) -> None:
    first = asyncio.create_task(virtual.client.new("hold", {"gate": gate.path}, session_timeout=1))
    await gate.arrival()
    await virtual.clock.advance(50)
    gate.open()
    assert expiry((await first).session) == 51


async def test_a_call_whose_caller_went_away_holds_the_session_until_the_function_ends(
    virtual: VirtualGateway, gate: Gate
) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    call = asyncio.create_task(virtual.client.run("hold_blocking", {"gate": gate.path}, session=session))
    await gate.arrival()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await virtual.clock.advance(60)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE
    gate.open()
    answer = await virtual.client.run(session=session)
    assert (answer.output["calls"], expiry(answer.session)) == (2, 70)


async def test_sessions_expire_each_at_its_own_moment(virtual: VirtualGateway) -> None:
    sessions = {timeout: (await virtual.client.new(session_timeout=timeout)).id for timeout in (1, 5, 10, 60)}
    for timeout, session in sessions.items():
        await virtual.clock.advance(timeout - JUST_BELOW - virtual.elapsed)
        assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE
        await virtual.clock.advance(JUST_BELOW)
        ended = await virtual.client.get(session)
        assert (ended.status, ended.ended_at.seconds - START) == (pb.SESSION_STATUS_EXPIRED, timeout)


async def test_a_repeat_of_an_answered_request_id_slides_nothing(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    first = await virtual.client.run(session=session, request_id="once")
    await virtual.clock.advance(30)
    again = await virtual.client.run(session=session, request_id="once")
    assert (again.output, again.response.call_id) == (first.output, first.response.call_id)
    assert expiry(await virtual.client.get(session)) == 60


async def test_a_session_whose_worker_went_with_a_dead_gateway_expires_or_ends_when_the_next_one_starts(
    start_virtual: StartVirtual, tmp_path: Path
) -> None:
    # The record of a gateway that was killed: nobody finished what it had open.
    record = Session(
        id="sess_left",
        owner="anonymous",
        app=AppRef("probe", "1"),
        worker_id="wrk_gone",
        epoch=1,
        timeout=60,
        created_at=START - 100.0,
        expires_at=START + 10.0,
        deadline=1010.0,
        call_count=1,
    )
    store = SqliteStore(tmp_path / "data" / "sessions.db")
    await store.open()
    await store.create(record)
    await store.create(replace(record, id="sess_idle", deadline=990.0, expires_at=START - 10.0))
    await store.close()
    virtual = await start_virtual(store={})
    assert (await failure(virtual.client.run(session="sess_idle"))).code == "SESSION_EXPIRED"
    error = await failure(virtual.client.run(session="sess_left"))
    assert (error.code, error.end_reason) == ("SESSION_ENDED", "WORKER_LOST")


async def held(client: Client, gate: Gate, word: str, session: str) -> Answer:
    """Run a call that stands at the gate. It has no deadline: virtual time would run past any."""
    return await client.run("hold", {"gate": gate.path, "word": word}, session=session, deadline=None)


async def calls_admitted(client: Client, session: str, count: int) -> None:
    """Wait until a session has that many calls, those that wait for their turn included."""
    async with asyncio.timeout(10):
        while (await client.get(session)).call_count < count:
            pass
