"""What a session is and who may see it: rules 1, 6, 7, 8 and 9 of the contract, on both kinds of gateway."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.model import new_session_id
from gateway.testing.gate import Gate
from gateway.testing.waiting import exists, until
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import CallFailed, Client, failure
from tests.scenarios.conftest import new_key


async def gone(*pids: int) -> None:
    """Wait until none of the processes exists."""
    await until(lambda: not any(map(exists, pids)))


async def is_listed(client: Client, session: str) -> bool:
    return session in {listed.id for listed in (await client.list()).sessions}


async def test_rule_1_the_same_process_answers_all_calls_of_a_session(client: Client) -> None:
    first = await client.new("whoami")
    later = [await client.run("whoami", session=first.id) for _ in range(3)]
    assert {answer.output["pid"] for answer in later} == {first.output["pid"]}
    assert [answer.output["calls"] for answer in later] == [2, 3, 4]
    assert {answer.session.worker_id for answer in later} == {first.session.worker_id}


async def test_rule_1_memory_files_and_connections_stay_and_are_invisible_to_other_sessions(client: Client) -> None:
    one, two = await client.new(), await client.new()
    await client.run("remember", {"text": "mine"}, session=one.id)
    kept = (await client.run("recall", session=one.id)).output
    assert kept == {"memory": "mine", "files": ["mine", "mine"], "database": ["mine"]}
    other = (await client.run("recall", session=two.id)).output
    assert other == {"memory": None, "files": [None, None], "database": []}


async def test_rule_1_no_process_of_a_session_ever_serves_another(client: Client) -> None:
    seen = []
    for _ in range(4):
        answer = await client.new("whoami")
        assert answer.output["calls"] == 1
        seen.append((answer.output["pid"], answer.session.worker_id, answer.output["cwd"], answer.output["tmp"]))
        await client.end(answer.id)
    for values in zip(*seen, strict=True):
        assert len(set(values)) == 4


async def test_rule_1_a_worker_sees_nothing_of_the_gateways_environment(client: Client) -> None:
    environment = (await client.new("whoami")).output["environment"]
    assert environment["HOME"] == environment["PWD"]
    assert environment["TMPDIR"] != os.environ.get("TMPDIR")
    assert {name for name in environment if name.startswith(("SGW_", "PYTEST", "GRPC"))} <= {"SGW_WORKER_ID"}


async def test_rule_1_what_a_session_kept_is_gone_after_its_end(client: Client) -> None:
    session = await client.new("whoami")
    await client.run("remember", {"text": "mine"}, session=session.id)
    await client.end(session.id)
    await gone(session.output["pid"])
    await until(lambda: not any(Path(session.output[place]).exists() for place in ("cwd", "tmp")))


async def test_rule_6_an_end_releases_the_worker_and_the_record_says_by_whom(client: Client) -> None:
    session = await client.new("whoami")
    ended = await client.end(session.id)
    assert (ended.status, ended.end_reason, ended.call_count) == (pb.SESSION_STATUS_ENDED, 1, 1)
    assert ended.ended_at.ToNanoseconds() >= ended.created_at.ToNanoseconds() > 0
    assert ended.expires_in.ToNanoseconds() == 0
    await gone(session.output["pid"])
    error = await failure(client.run(session=session.id))
    assert (error.code, error.end_reason, error.run_state) == ("SESSION_ENDED", "CALLER", "NOT_STARTED")
    assert error.info.metadata["endReason"] == "CALLER"


async def test_rule_6_an_end_cancels_the_running_call_and_its_caller_is_told(client: Client, gate: Gate) -> None:
    session = await client.new()
    running = asyncio.create_task(client.run("hold", {"gate": gate.path}, session=session.id))
    await gate.arrival()
    await client.end(session.id)
    error = await failure(running)
    assert (error.code, error.run_state, error.end_reason) == ("SESSION_ENDED", "UNKNOWN", "CALLER")
    assert (error.detail.session_id, bool(error.detail.call_id)) == (session.id, True)
    await gate.departure()


async def test_rule_6_an_end_turns_away_waiting_calls_as_not_started(client: Client, gate: Gate) -> None:
    session = await client.new()
    running = asyncio.create_task(client.run("hold", {"gate": gate.path}, session=session.id))
    await gate.arrival()
    waiting = [asyncio.create_task(client.run(session=session.id)) for _ in range(3)]
    async with asyncio.timeout(10):
        while (await client.get(session.id)).call_count < 5:
            pass
    await client.end(session.id)
    errors = [await failure(call) for call in (running, *waiting)]
    assert [(error.code, error.run_state) for error in errors] == [
        ("SESSION_ENDED", "UNKNOWN"),
        *[("SESSION_ENDED", "NOT_STARTED")] * 3,
    ]
    async with asyncio.timeout(10):
        while (await client.get(session.id)).call_count != 2:
            pass


async def test_rule_6_unload_runs_at_the_end(client: Client, gate: Gate) -> None:
    session = await client.new("whoami")
    await client.run("hold_at_unload", {"gate": gate.path}, session=session.id)
    await client.end(session.id)
    assert await gate.arrival() == "unload"
    gate.open("unload")
    await gone(session.output["pid"])


async def test_rule_6_the_end_does_not_wait_for_unload(client: Client, gate: Gate) -> None:
    session = await client.new("whoami")
    await client.run("hold_at_unload", {"gate": gate.path}, session=session.id)
    await client.end(session.id)
    await gate.arrival()
    assert (await client.get(session.id)).status == pb.SESSION_STATUS_ENDED
    assert (await client.new()).output["calls"] == 1
    gate.open("unload")
    await gone(session.output["pid"])


async def test_rule_6_ending_a_finished_session_returns_it_as_it_is(client: Client) -> None:
    session = (await client.new()).id
    first = await client.end(session)
    assert await client.end(session) == first
    lost = (await client.new()).id
    await failure(client.run("die", {"code": 3}, session=lost))
    assert (await client.end(lost)).end_reason == 3


async def test_rule_6_only_an_unknown_id_is_an_error_to_end(client: Client) -> None:
    assert (await failure(client.end("sess_never"))).code == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    ("how", "exit_", "text"),
    [({"signal": 9}, ("signal", 9), "signal 9"), ({"code": 7}, ("exit_code", 7), "exit code 7")],
)
async def test_rule_7_a_worker_that_dies_takes_its_session_with_it(
    client: Client, how: dict[str, int], exit_: tuple[str, int], text: str
) -> None:
    session = (await client.new()).id
    error = await failure(client.run("die", how, session=session))
    assert (error.code, error.run_state, error.end_reason) == ("WORKER_LOST", "UNKNOWN", "WORKER_LOST")
    assert error.info.metadata["exit"] == text
    assert getattr(error.detail.worker_exit, exit_[0]) == exit_[1]
    after = await client.get(session)
    assert (after.status, after.end_reason, after.call_count) == (pb.SESSION_STATUS_ENDED, 3, 2)
    assert (after.worker_exit.WhichOneof("how"), getattr(after.worker_exit, exit_[0])) == exit_
    later = await failure(client.run(session=session))
    assert (later.code, later.end_reason, later.run_state) == ("SESSION_ENDED", "WORKER_LOST", "NOT_STARTED")
    assert later.detail.worker_exit == error.detail.worker_exit
    assert text in later.message


async def test_rule_7_a_worker_that_dies_between_calls_ends_its_session(client: Client) -> None:
    session = await client.new("whoami")
    os.kill(session.output["pid"], signal.SIGKILL)
    async with asyncio.timeout(10):
        while (await client.get(session.id)).status == pb.SESSION_STATUS_ACTIVE:
            pass
    error = await failure(client.run(session=session.id))
    assert (error.code, error.end_reason, error.detail.worker_exit.signal) == ("SESSION_ENDED", "WORKER_LOST", 9)


async def test_rule_7_calls_that_wait_when_the_worker_dies_were_not_started(client: Client, gate: Gate) -> None:
    session = await client.new("whoami")
    running = asyncio.create_task(client.run("hold", {"gate": gate.path}, session=session.id))
    await gate.arrival()
    waiting = asyncio.create_task(client.run(session=session.id))
    async with asyncio.timeout(10):
        while (await client.get(session.id)).call_count < 3:
            pass
    os.kill(session.output["pid"], signal.SIGKILL)
    lost, turned_away = await failure(running), await failure(waiting)
    assert (lost.code, lost.run_state) == ("WORKER_LOST", "UNKNOWN")
    assert turned_away.run_state == "NOT_STARTED"
    assert turned_away.end_reason == "WORKER_LOST"


@pytest.mark.parametrize("another", ["key", ""])
async def test_rule_8_only_the_owner_sees_a_session(client: Client, another: str) -> None:
    mine = (await client.new()).id
    stranger = client.as_caller(another and new_key())

    async def streamed(session: str) -> Any:
        async with stranger.keepalive_stream() as stream:
            return (await stream.renew(session))[0].error

    async def run(session: str) -> Any:
        return await stranger.run(session=session)

    asked = [stranger.get, stranger.keepalive, stranger.end, run]
    for rpc in asked:
        foreign, unknown = await failure(rpc(mine)), await failure(rpc(new_session_id()))
        assert (foreign.code, foreign.info.metadata["sessionId"]) == ("SESSION_NOT_FOUND", mine)
        assert without_ids(foreign) == without_ids(unknown)
    assert (await streamed(mine)).code == (await streamed("sess_never")).code == foreign.detail.code
    assert not await is_listed(stranger, mine)
    assert (await client.run(session=mine)).output["calls"] == 2


async def test_rule_8_a_finished_session_is_as_invisible_to_strangers(client: Client) -> None:
    mine = (await client.new()).id
    await client.end(mine)
    error = await failure(client.as_caller(new_key()).run(session=mine))
    assert error.code == "SESSION_NOT_FOUND"


def without_ids(error: CallFailed) -> tuple[object, ...]:
    """Return all that an error tells but the ids of its session and its call."""

    def bare(text: str) -> str:
        for id in (error.info.metadata["sessionId"], error.detail.call_id):
            text = text.replace(id, "*") if id else text
        return text

    kinds = [packed.type_url for packed in error.details.details]
    return error.status, kinds, bare(error.message), bare(str(error.info)), bare(str(error.detail))


@pytest.mark.parametrize(
    ("function", "input", "code"),
    [("fail", {}, "APP_ERROR"), ("typed", {"number": "x"}, "INVALID_INPUT")],
)
async def test_rule_9_a_session_whose_first_call_fails_is_ended_and_the_error_says_so(
    client: Client, function: str, input: dict[str, Any], code: str
) -> None:
    error = await failure(client.new(function, input))
    assert (error.code, error.end_reason) == (code, "FIRST_CALL_FAILED")
    session = await client.get(error.detail.session_id)
    assert (session.status, session.end_reason) == (pb.SESSION_STATUS_ENDED, 4)


async def test_rule_9_a_first_call_that_kills_its_worker_leaves_no_session(client: Client) -> None:
    error = await failure(client.new("die", {"signal": 9}))
    assert (error.code, error.run_state, error.end_reason) == ("WORKER_LOST", "UNKNOWN", "WORKER_LOST")
    assert (await client.get(error.detail.session_id)).status == pb.SESSION_STATUS_ENDED


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"function": "nothing"}, "FUNCTION_NOT_FOUND"),
        ({"app": "nothing"}, "APP_NOT_FOUND"),
        ({"app": "probe@nothing"}, "VERSION_NOT_FOUND"),
        ({"worker_id": "wrk_nothing"}, "WORKER_NOT_FOUND"),
        ({"session_timeout": 0}, "INVALID_REQUEST"),
    ],
)
async def test_rule_9_a_refused_first_call_opens_no_session(client: Client, fields: dict[str, Any], code: str) -> None:
    error = await failure(client.new(**fields))
    assert (error.code, error.run_state, error.detail.session_id) == (code, "NOT_STARTED", "")
    assert list((await client.list()).sessions) == []


async def test_rule_9_a_first_call_that_is_cancelled_ends_its_session(client: Client, gate: Gate) -> None:
    first = asyncio.create_task(client.new("hold", {"gate": gate.path}))
    await gate.arrival()
    (opened,) = (await client.list()).sessions
    first.cancel()
    await gate.departure()
    async with asyncio.timeout(10):
        while (session := await client.get(opened.id)).status == pb.SESSION_STATUS_ACTIVE:
            pass
    assert (session.status, session.end_reason) == (pb.SESSION_STATUS_ENDED, 4)


async def test_rule_9_a_later_call_that_fails_leaves_the_session_alive(client: Client) -> None:
    session = (await client.new()).id
    error = await failure(client.run("fail", {"text": "later"}, session=session))
    assert (error.code, error.run_state, error.end_reason) == ("APP_ERROR", "COMPLETED", "")
    assert (error.detail.app_failure.type, error.detail.app_failure.message) == ("ValueError", "later")
    assert "raise ValueError" in error.detail.app_failure.traceback
    assert (await client.run(session=session)).output["calls"] == 3
