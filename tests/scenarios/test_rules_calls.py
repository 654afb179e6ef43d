"""How calls run: rules 5, 11 and 12 of the contract, and "Did my call run?", on both kinds of gateway."""

import asyncio
import os
import signal
from typing import Any

from gateway.testing.gate import Gate
from sessiongateway.v1 import apps_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Answer, Client, failure
from tests.scenarios.conftest import PROBE, StartGateway


def concurrent_app(directory: Any, concurrency: int) -> Any:
    """Return the directory of a copy of `probe` that runs several calls at a time."""
    directory.mkdir()
    (directory / "app.py").write_text((PROBE / "app.py").read_text())
    (directory / "app.toml").write_text(f"concurrency = {concurrency}\n")
    return directory


def held(client: Client, gate: Gate, word: str, **fields: Any) -> asyncio.Task[Answer]:
    """Begin a call that stands at the gate with that word."""
    return asyncio.create_task(client.run("hold", {"gate": gate.path, "word": word}, **fields))


async def admitted(client: Client, session: str, calls: int) -> None:
    """Wait until a session has that many calls, those that wait for their turn included."""
    async with asyncio.timeout(20):
        while (await client.get(session)).call_count != calls:
            pass


async def test_rule_5_calls_of_one_session_run_one_after_another_in_order_of_arrival(
    client: Client, gate: Gate
) -> None:
    session = (await client.new()).id
    calls = []
    for number in range(5):
        calls.append(held(client, gate, str(number), session=session))
        await admitted(client, session, number + 2)
    for number in range(5):
        assert await gate.arrival() == str(number)
        assert gate.nobody_came()
        gate.open(str(number))
        await calls[number]
    assert (await client.get(session)).call_count == 6


async def test_rule_5_different_sessions_run_in_parallel(client: Client, gate: Gate) -> None:
    sessions = [(await client.new()).id for _ in range(3)]
    calls = [held(client, gate, str(number), session=id) for number, id in enumerate(sessions)]
    assert {await gate.arrival() for _ in calls} == {"0", "1", "2"}
    for number, call in enumerate(calls):
        gate.open(str(number))
        await call


async def test_rule_5_a_full_queue_is_session_busy_with_retry_info(start_gateway: StartGateway, gate: Gate) -> None:
    client = await start_gateway(sessions={"queue_size": 2})
    session = (await client.new()).id
    calls = [held(client, gate, "0", session=session)]
    await gate.arrival()
    calls += [held(client, gate, str(number), session=session) for number in (1, 2)]
    await admitted(client, session, 4)
    before = await client.get(session)
    error = await failure(client.run(session=session))
    assert (error.code, error.run_state, error.detail.session_id) == ("SESSION_BUSY", "NOT_STARTED", session)
    assert error.retry_delay is not None
    assert error.retry_delay > 0
    after = await client.get(session)
    assert (after.call_count, after.expires_at) == (before.call_count, before.expires_at)
    gate.open("0")
    for _ in calls[1:]:
        gate.open(await gate.arrival())
    await asyncio.gather(*calls)
    assert (await client.run(session=session)).session.call_count == 5


async def test_rule_5_a_queue_of_size_0_lets_one_call_run(start_gateway: StartGateway, gate: Gate) -> None:
    client = await start_gateway(sessions={"queue_size": 0})
    session = (await client.new()).id
    call = held(client, gate, "0", session=session)
    await gate.arrival()
    assert (await failure(client.run(session=session))).code == "SESSION_BUSY"
    gate.open("0")
    await call


async def test_rule_5_a_waiting_call_honours_its_callers_deadline(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    call = held(client, gate, "0", session=session)
    await gate.arrival()
    error = await failure(client.run(session=session, deadline=0.4))
    assert (error.code, error.run_state) == ("SESSION_BUSY", "NOT_STARTED")
    gate.open("0")
    await call
    assert (await client.run(session=session)).output["calls"] == 3


async def test_rule_5_a_waiting_call_that_is_cancelled_never_runs(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    first = held(client, gate, "first", session=session)
    await gate.arrival()
    second = held(client, gate, "second", session=session)
    await admitted(client, session, 3)
    third = held(client, gate, "third", session=session)
    await admitted(client, session, 4)
    second.cancel()
    await admitted(client, session, 3)
    gate.open("first")
    assert await gate.arrival() == "third"
    gate.open("third")
    await asyncio.gather(first, third)


async def test_rule_5_a_running_call_that_is_cancelled_lets_the_next_one_in(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    first = held(client, gate, "first", session=session)
    await gate.arrival()
    second = held(client, gate, "second", session=session)
    await admitted(client, session, 3)
    first.cancel()
    assert await gate.departure() == "first"
    assert await gate.arrival() == "second"
    gate.open("second")
    await second
    assert (await client.run("recall", session=session)).output["memory"] is None


async def test_rule_5_a_call_whose_function_blocks_goes_on_after_its_caller_and_the_next_waits_for_it(
    client: Client, gate: Gate
) -> None:
    session = (await client.new()).id
    first = asyncio.create_task(client.run("hold_blocking", {"gate": gate.path, "word": "first"}, session=session))
    await gate.arrival()
    first.cancel()
    second = held(client, gate, "second", session=session)
    await admitted(client, session, 3)
    assert gate.nobody_came()
    gate.open("first")
    assert await gate.arrival() == "second"
    gate.open("second")
    await second


async def test_rule_5_an_app_may_declare_a_higher_concurrency(
    start_gateway: StartGateway, gate: Gate, tmp_path: Any
) -> None:
    client = await start_gateway(apps={"probe": concurrent_app(tmp_path / "wide", 3)})
    session = (await client.new()).id
    calls = [held(client, gate, str(number), session=session) for number in range(4)]
    inside = {await gate.arrival() for _ in range(3)}
    await admitted(client, session, 5)
    assert gate.nobody_came()
    leaving = inside.pop()
    gate.open(leaving)
    inside.add(await gate.arrival())
    for word in inside:
        gate.open(word)
    await asyncio.gather(*calls)


async def test_rule_11_new_waits_for_a_worker_and_gets_the_one_that_is_given_back(start_gateway: StartGateway) -> None:
    client = await start_gateway(workers={"max_workers": 1})
    first = (await client.new()).id
    waiting = asyncio.create_task(client.new())
    await client.end(first)
    answer = await waiting
    assert answer.output["calls"] == 1
    assert answer.id != first


async def test_rule_11_a_caller_that_waits_in_vain_is_told_before_its_own_deadline(
    start_gateway: StartGateway,
) -> None:
    client = await start_gateway(workers={"max_workers": 1})
    session = (await client.new()).id
    error = await failure(client.new(deadline=0.3))
    assert (error.code, error.run_state) == ("NO_WORKER_AVAILABLE", "NOT_STARTED")
    assert error.retry_delay is not None
    assert error.retry_delay > 0
    assert error.info.metadata["app"] == "probe"
    assert (await client.run(session=session)).output["calls"] == 2


async def test_rule_11_a_caller_that_goes_away_while_waiting_leaks_nothing(start_gateway: StartGateway) -> None:
    client = await start_gateway(workers={"max_workers": 1})
    first = (await client.new()).id
    for _ in range(3):
        waiting = asyncio.create_task(client.new(deadline=None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await client.end(first)
    assert (await client.new()).output["calls"] == 1
    found = (await client.list()).sessions
    assert [session.status for session in found if session.id != first].count(pb.SESSION_STATUS_ACTIVE) == 1


async def test_rule_12_plain_calls_use_warm_workers_that_no_session_ever_gets(client: Client) -> None:
    plain = [await client.run("whoami") for _ in range(4)]
    assert {answer.id for answer in plain} == {""}
    assert not plain[0].response.HasField("session")
    assert max(answer.output["calls"] for answer in plain) > 1
    shared = {answer.output["pid"] for answer in plain}
    sessions = [await client.new("whoami") for _ in range(3)]
    assert shared.isdisjoint(answer.output["pid"] for answer in sessions)
    assert {answer.output["calls"] for answer in sessions} == {1}
    again = await client.run("whoami")
    assert again.output["pid"] in shared


async def test_rule_12_a_shared_worker_cannot_be_leased_by_its_id(client: Client) -> None:
    worker = (await client.run("whoami")).output["environment"]["SGW_WORKER_ID"]
    error = await failure(client.new(worker_id=worker))
    assert (error.code, error.run_state) == ("WORKER_NOT_FOUND", "NOT_STARTED")


async def test_rule_12_plain_calls_beyond_the_shared_workers_wait_their_turn(
    start_gateway: StartGateway, gate: Gate
) -> None:
    client = await start_gateway(workers={"max_shared": 1})
    first = held(client, gate, "first")
    await gate.arrival()
    second = held(client, gate, "second")
    gate.open("first")
    assert await gate.arrival() == "second"
    gate.open("second")
    assert (await first).output["pid"] == (await second).output["pid"]


async def test_rule_12_a_shared_worker_that_dies_is_replaced_for_those_who_wait(
    start_gateway: StartGateway, gate: Gate
) -> None:
    client = await start_gateway(workers={"max_shared": 1})
    pid = (await client.run("whoami")).output["pid"]
    first = held(client, gate, "first")
    await gate.arrival()
    second = asyncio.create_task(client.run("whoami"))
    # A call that is answered after it tells that the waiting one has arrived: it was sent later on the same connection.
    assert (await failure(client.run("whoami", app="probe@nothing"))).code == "VERSION_NOT_FOUND"
    os.kill(pid, signal.SIGKILL)
    error = await failure(first)
    assert (error.code, error.run_state, error.detail.session_id) == ("WORKER_LOST", "UNKNOWN", "")
    assert (await second).output["pid"] != pid


async def test_a_worker_that_is_ready_can_be_asked_for_by_its_id(start_gateway: StartGateway) -> None:
    client = await start_gateway(workers={"min_idle": 2})
    async with asyncio.timeout(20):
        while len(ready := await idle_workers(client)) < 2:
            pass
    answer = await client.new(worker_id=ready[1])
    assert answer.session.worker_id == ready[1]
    assert ready[1] not in await idle_workers(client)
    error = await failure(client.new(worker_id=ready[1]))
    assert (error.code, error.run_state) == ("WORKER_LEASED", "NOT_STARTED")
    assert error.info.metadata["workerId"] == ready[1]


async def test_a_call_may_insist_on_its_sessions_worker(client: Client) -> None:
    one, two = await client.new(), await client.new()
    again = await client.run(session=one.id, worker_id=one.session.worker_id)
    assert again.output["calls"] == 2
    error = await failure(client.run(session=one.id, worker_id=two.session.worker_id))
    assert (error.code, error.run_state) == ("WORKER_LEASED", "NOT_STARTED")
    error = await failure(client.run(session=one.id, worker_id="wrk_nothing"))
    assert error.code == "WORKER_NOT_FOUND"


async def idle_workers(client: Client) -> list[str]:
    response = await client.unary(client.apps.GetApp, apps_pb2.GetAppRequest(app=client.app))
    return list(response.app.idle_worker_ids)
