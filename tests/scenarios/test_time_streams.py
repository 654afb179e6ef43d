"""Keepalive for many sessions on one stream (contract, "Keepalive, streamed")."""

import pytest

from gateway.stores.base import StoreFailure, StoreProblem
from gateway.testing.waiting import until
from gateway.timing import EXPIRY_SLACK
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import failure
from tests.scenarios.conftest import VirtualGateway

START = 1_700_000_000


async def test_each_id_gets_its_new_expiry_in_order(virtual: VirtualGateway) -> None:
    short, long = (await virtual.client.new(session_timeout=10)).id, (await virtual.client.new(session_timeout=300)).id
    async with virtual.client.keepalive_stream() as stream:
        await virtual.clock.advance(5)
        answers = await stream.renew(short, long)
    assert [answer.session_id for answer in answers] == [short, long]
    assert [answer.session.expires_at.seconds - START for answer in answers] == [15, 305]
    assert [answer.session.expires_in.ToSeconds() for answer in answers] == [10, 300]


async def test_a_caller_that_asks_for_it_gets_what_was_renewed_in_one_message_and_the_rest_as_ever(
    virtual: VirtualGateway,
) -> None:
    short, long, other = [(await virtual.client.new(session_timeout=seconds)).id for seconds in (10, 300, 10)]
    async with virtual.client.keepalive_stream() as stream:
        await virtual.clock.advance(5)
        await stream.send(short, "sess_never", long, other, batch=True)
        together, alone = await stream.receive(), await stream.receive()
        await stream.send(long, batch=True)
        again = await stream.receive()
        (whole,) = await stream.renew(long)
        await virtual.client.end(other)
        pushed = await stream.receive()
    assert [
        (list(each.session_ids), each.expires_at.seconds - START, each.expires_in.ToSeconds())
        for each in together.renewed
    ] == [([short, other], 15, 10), ([long], 305, 300)]
    assert (together.session_id, together.WhichOneof("outcome")) == ("", None)
    assert (alone.session_id, alone.error.code) == ("sess_never", errors_pb2.ERROR_CODE_SESSION_NOT_FOUND)
    assert [list(each.session_ids) for each in again.renewed] == [[long]]
    assert (pushed.session_id, pushed.error.end_reason, list(pushed.renewed)) == (
        other,
        errors_pb2.END_REASON_CALLER,
        [],
    )
    found = await virtual.client.get(long)
    assert whole.session == found
    assert (found.expires_at, found.call_count) == (again.renewed[0].expires_at, 1)


async def test_an_answer_has_the_whole_session_as_it_is_also_after_a_call(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(session)
        await virtual.clock.advance(5)
        await virtual.client.run(session=session)
        await virtual.clock.advance(5)
        (answer,) = await stream.renew(session)
        assert answer.session == await virtual.client.get(session)


async def test_a_session_that_is_renewed_on_a_stream_survives_a_store_that_fails_with_its_window(
    virtual: VirtualGateway,
) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    async with virtual.client.keepalive_stream() as stream:
        await virtual.clock.advance(8)
        await stream.renew(session)
        await virtual.gateway.store.recover(StoreFailure(StoreProblem.GONE, "made up"))
    await virtual.clock.advance(9)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE


async def test_a_stream_keeps_sessions_alive_and_counts_no_calls(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new(session_timeout=3)).id
    async with virtual.client.keepalive_stream() as stream:
        for _ in range(10):
            await virtual.clock.advance(1)
            (answer,) = await stream.renew(session)
    assert (answer.session.call_count, answer.session.expires_at.seconds - START) == (1, 13)


async def test_the_expiry_of_one_session_is_pushed_with_its_reason_and_leaves_the_others_alone(
    virtual: VirtualGateway,
) -> None:
    short, long = (await virtual.client.new(session_timeout=10)).id, (await virtual.client.new(session_timeout=300)).id
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(short, long)
        await virtual.clock.advance(10 + EXPIRY_SLACK)
        pushed = await stream.receive()
        assert pushed.session_id == short
        assert pushed.error.code == errors_pb2.ERROR_CODE_SESSION_EXPIRED
        assert (pushed.error.end_reason, pushed.error.session_id) == (errors_pb2.END_REASON_IDLE_TIMEOUT, short)
        assert pushed.error.http_status == 410
        (answer,) = await stream.renew(long)
        assert answer.session.status == pb.SESSION_STATUS_ACTIVE


async def test_an_end_is_pushed_with_its_reason(virtual: VirtualGateway) -> None:
    ended, killed, other = [(await virtual.client.new()).id for _ in range(3)]
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(ended, killed, other)
        await virtual.client.end(ended)
        first = await stream.receive()
        await failure(virtual.client.run("die", {"signal": 9}, session=killed))
        second = await stream.receive()
        (answer,) = await stream.renew(other)
    assert (first.session_id, first.error.end_reason) == (ended, errors_pb2.END_REASON_CALLER)
    assert (second.session_id, second.error.end_reason) == (killed, errors_pb2.END_REASON_WORKER_LOST)
    assert {first.error.code, second.error.code} == {errors_pb2.ERROR_CODE_SESSION_ENDED}
    assert second.error.worker_exit.signal == 9
    assert answer.session_id == other


async def test_what_cannot_be_renewed_is_told_in_band(virtual: VirtualGateway) -> None:
    alive, ended, expired = [(await virtual.client.new(session_timeout=t)).id for t in (60, 60, 1)]
    foreign = (await virtual.client.as_caller("another").new()).id
    await virtual.client.end(ended)
    await virtual.clock.advance(1)
    asked = [ended, expired, foreign, "sess_never", "no id at all", alive]
    async with virtual.client.keepalive_stream() as stream:
        answers = await stream.renew(*asked)
        unary = {id: (await failure(virtual.client.keepalive(id))).detail for id in asked if id != alive}
    assert [answer.session_id for answer in answers] == asked
    assert {answer.session_id: answer.error for answer in answers if answer.HasField("error")} == unary
    assert answers[-1].session.id == alive


async def test_a_session_is_told_over_once_and_is_then_off_the_stream(virtual: VirtualGateway) -> None:
    session, other = (await virtual.client.new()).id, (await virtual.client.new()).id
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(session, session, other)
        await virtual.client.end(session)
        assert (await stream.receive()).error.code == errors_pb2.ERROR_CODE_SESSION_ENDED
        assert [answer.session_id for answer in await stream.renew(other)] == [other]


async def test_a_stream_whose_caller_has_closed_its_side_answers_everything_and_ends(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    async with virtual.client.keepalive_stream() as stream:
        await stream.send(session, "sess_never")
        await stream.done()
        answers = [await stream.receive(), await stream.receive()]
        with pytest.raises(EOFError):
            await stream.receive()
    assert [answer.session_id for answer in answers] == [session, "sess_never"]


async def test_a_session_outlives_the_stream_that_renewed_it_by_its_own_timeout(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new(session_timeout=10)).id
    async with virtual.client.keepalive_stream() as stream:
        await virtual.clock.advance(5)
        await stream.renew(session)
    await virtual.clock.advance(9.999)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_ACTIVE
    await virtual.clock.advance(0.001)
    assert (await virtual.client.get(session)).status == pb.SESSION_STATUS_EXPIRED


async def test_a_message_without_ids_or_with_too_many_breaks_the_stream_with_a_reason(virtual: VirtualGateway) -> None:
    for ids in ([], ["sess_x"] * 1001):
        async with virtual.client.keepalive_stream() as stream:
            await stream.send(*ids)
            error = await failure(stream.receive())
        assert (error.code, [field for field, _ in error.bad_request]) == ("INVALID_REQUEST", ["session_ids"])


async def test_answers_that_come_before_a_bad_message_are_still_given(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    async with virtual.client.keepalive_stream() as stream:
        await stream.send(session)
        await stream.send()
        assert (await stream.receive()).session.id == session
        assert (await failure(stream.receive())).code == "INVALID_REQUEST"


async def test_several_streams_may_watch_one_session(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    async with virtual.client.keepalive_stream() as one, virtual.client.keepalive_stream() as two:
        await one.renew(session)
        await two.renew(session)
        await virtual.client.end(session)
        for stream in (one, two):
            assert (await stream.receive()).error.code == errors_pb2.ERROR_CODE_SESSION_ENDED


async def test_a_thousand_sessions_that_end_at_once_are_all_told_on_a_slow_stream(virtual: VirtualGateway) -> None:
    ids = [f"sess_{number}" for number in range(1000)]
    async with virtual.client.keepalive_stream() as stream:
        for _ in range(3):
            await stream.send(*ids)
        answers = [await stream.receive() for _ in range(3000)]
    assert [answer.session_id for answer in answers] == ids * 3


async def test_a_stream_that_is_cancelled_leaves_no_watcher_behind(virtual: VirtualGateway) -> None:
    session = (await virtual.client.new()).id
    watchers = virtual.gateway.manager._lifecycle._watchers
    async with virtual.client.keepalive_stream() as stream:
        await stream.renew(session)
        assert session in watchers
    await until(lambda: not watchers)
