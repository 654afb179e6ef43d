"""How several gateway processes divide what there is: ids, limits, room for workers, requests."""

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from gateway.board import Board, Figure, Member, Standing
from gateway.model import new_session_id, new_worker_id
from gateway.rpc.peers.keepalive import KeepaliveFan
from gateway.rpc.peers.link import PeerLost
from gateway.rpc.peers.neighbours import Peer
from gateway.rpc.peers.routes import Routes
from gateway.rpc.peers.wire import CallFrame, Flag, pack_call, unpack_call
from gateway.rpc.raw import Failure
from gateway.share import WHOLE, Share
from gateway.workers.room import Room
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb

COUNT = 3


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_id_belongs_to_one_process_and_a_process_draws_its_own(count: int) -> None:
    shares = [Share(index, count) for index in range(count)]
    for share, new_id in itertools.product(shares, (new_session_id, new_worker_id)):
        drawn = share.drawn(new_id)
        assert [other.owns(drawn) for other in shares] == [other is share for other in shares]
        assert {other.owner(drawn) for other in shares} == {share.index}


def test_the_owner_of_an_id_is_the_same_in_every_release() -> None:
    assert [Share(0, 5).owner(f"sess_{letter}") for letter in "abcde"] == [4, 0, 4, 3, 3]


@pytest.mark.parametrize(("total", "count"), [(0, 2), (1, 3), (2, 2), (7, 3), (1024, 64)])
def test_the_parts_of_a_limit_add_up_to_it(total: int, count: int) -> None:
    parts = [Share(index, count).part(total) for index in range(count)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


def test_one_process_has_everything() -> None:
    assert WHOLE.part(7) == 7
    assert WHOLE.owns("anything")


class Rooms:
    """The rooms of some processes; all of them serve."""

    def __init__(self, total: int) -> None:
        self.board = Board(COUNT)
        self.rooms = [
            Room(total, Share(index, COUNT), Member(index, self.board, "generation")) for index in range(COUNT)
        ]
        self.woken: list[int] = []
        for index, room in enumerate(self.rooms):
            self.board.show(index, Figure.STANDING, Standing.SERVING)
            room.wake = self.woken.append

    def limits(self) -> list[int]:
        return [room.limit for room in self.rooms]


def test_room_that_is_free_goes_to_where_callers_wait_and_the_sum_stays() -> None:
    rooms = Rooms(6)
    assert rooms.limits() == [2, 2, 2]
    rooms.rooms[0].tell(workers=2, idle=0, waiting=3)
    assert rooms.woken == [1, 2]
    rooms.rooms[1].tell(workers=1, idle=0, waiting=0)
    for lender in rooms.rooms[1:]:
        assert lender.wanted()
        lender.lend()
    assert not rooms.rooms[1].wanted()  # room for all three is there, or on its way
    assert rooms.limits() == [5, 1, 0]


def test_what_is_taken_is_not_lent() -> None:
    rooms = Rooms(6)
    rooms.rooms[1].tell(workers=2, idle=0, waiting=0)
    rooms.rooms[0].tell(workers=2, idle=0, waiting=1)
    rooms.rooms[1].lend()
    assert rooms.limits() == [2, 2, 2]


def test_what_a_process_has_lent_stays_lent_when_it_dies() -> None:
    rooms = Rooms(6)
    rooms.rooms[0].tell(workers=2, idle=0, waiting=1)
    rooms.rooms[1].lend()
    rooms.board.died(1)
    assert rooms.limits() == [3, 1, 2]
    assert rooms.board.shown(1, Figure.STANDING) == Standing.DOWN


def test_a_process_that_adopted_more_than_its_part_leaves_the_others_less() -> None:
    rooms = Rooms(6)
    rooms.rooms[0].tell(workers=5, idle=0, waiting=0)
    assert rooms.limits()[1:] == [1, 1]


class Routing:
    """The routes of process 0."""

    def __init__(self, max_shared: int = COUNT) -> None:
        self.rooms = Rooms(6)
        self.member = Member(0, self.rooms.board, "generation")
        self.routes = Routes(Share(0, COUNT), self.member, self.rooms.rooms[0], max_shared)

    def of(self, principal: str = "me", **fields: Any) -> int:
        return self.routes.of_call(pb.RunRequest(app="app", **fields).SerializeToString(), principal)[0]


@pytest.mark.parametrize("index", range(COUNT))
def test_a_call_goes_to_the_process_of_its_session_and_a_new_one_to_that_of_its_worker(index: int) -> None:
    session, worker = Share(index, COUNT).drawn(new_session_id), Share(index, COUNT).drawn(new_worker_id)
    routing = Routing()
    assert routing.of(session=session, request_id="r", worker_id="wrk_other") == index
    assert routing.of(session="new", worker_id=worker, request_id="r") == index
    assert routing.routes.of_session(pb.EndSessionRequest(session_id=session).SerializeToString()) == index


@pytest.mark.parametrize("session", ["", "new"])
def test_repeats_meet_the_first_call_wherever_they_arrive(session: str) -> None:
    places = {Routing().of(session=session, request_id=f"r{number}") for number in range(50)}
    assert places == {0, 1, 2}
    assert len({Routing().of(principal, session=session, request_id="r") for principal in "abcdefgh"}) > 1


def test_a_new_session_stays_where_its_caller_is_unless_there_is_no_room() -> None:
    routing = Routing()
    assert routing.of(session="new") == 0
    routing.rooms.rooms[0].tell(workers=2, idle=0, waiting=0)
    assert routing.of(session="new") == 0  # nobody else has a worker ready: the room comes here
    routing.rooms.rooms[2].tell(workers=2, idle=1, waiting=0)
    assert routing.of(session="new") == 2
    routing.rooms.rooms[0].tell(workers=2, idle=1, waiting=0)
    assert routing.of(session="new") == 0


def test_a_plain_call_goes_to_a_process_with_a_shared_worker_that_may_be_free() -> None:
    routing = Routing()
    assert routing.of() == 0
    routing.member.show(Figure.PLAIN, 1)
    assert routing.of() in {1, 2}
    for other in (1, 2):
        routing.rooms.board.show(other, Figure.PLAIN, 1)
    assert routing.of() == 0
    alone = Routing(max_shared=1)
    assert {alone.of(request_id=f"r{number}") for number in range(20)} == {0}


def test_what_cannot_be_read_or_is_wrong_is_told_by_the_process_that_got_it() -> None:
    routing = Routing()
    assert routing.routes.of_call(b"\xff", "me") == (0, Flag.NONE)
    assert routing.routes.of_session(b"\xff") == 0
    assert routing.of(session="nonsense") == 0
    assert routing.of(worker_id="wrk_x") == 0


@pytest.mark.parametrize("deadline", [None, 12.5])
def test_a_call_is_read_as_it_was_written(deadline: float | None) -> None:
    call = CallFrame(3, Flag.PLAIN, deadline, "key:é", os.urandom(300))
    assert unpack_call(pack_call(call) + call.data) == call


class Parts:
    """Keepalive streams of two processes: what each is asked, and what it answers."""

    def __init__(self) -> None:
        self.answers: list[asyncio.Queue[bytes | None]] = [asyncio.Queue(), asyncio.Queue()]
        self.lost: dict[int, Exception] = {}
        """With what the stream of a process ends."""

    async def source(self, owner: Peer, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        assert isinstance(owner, int)
        await anext(requests, None)  # nobody answers what nobody has asked
        drained = asyncio.ensure_future(_drain(requests))
        try:
            while (answer := await self.answers[owner].get()) is not None:
                yield answer
            if owner in self.lost:
                raise self.lost[owner]
        finally:
            drained.cancel()

    def renew(self, owner: int, *session_ids: str) -> None:
        for session_id in session_ids:
            message = pb.StreamKeepaliveResponse(session_id=session_id, session=pb.Session(id=session_id))
            self.answers[owner].put_nowait(message.SerializeToString())


async def _drain(requests: AsyncIterator[bytes]) -> None:
    async for _ in requests:
        pass


async def asked(*messages: Sequence[str]) -> AsyncIterator[bytes]:
    for session_ids in messages:
        yield pb.StreamKeepaliveRequest(session_ids=session_ids).SerializeToString()


def owner_of(session_id: str) -> int:
    return int(session_id[-1]) % 2


@pytest.fixture
def parts() -> Parts:
    return Parts()


async def test_answers_of_several_processes_come_in_the_order_in_which_they_were_asked_for(parts: Parts) -> None:
    fan = KeepaliveFan(owner_of, parts.source, 0)
    parts.renew(1, "sess_1", "sess_3")
    parts.renew(0, "sess_0", "sess_2")
    for answers in parts.answers:
        answers.put_nowait(None)
    told = [
        pb.StreamKeepaliveResponse.FromString(data)
        async for data in fan.run(asked(["sess_0", "sess_1"], ["sess_3", "sess_2"]))
    ]
    assert [each.session_id for each in told] == ["sess_0", "sess_1", "sess_3", "sess_2"]


async def test_the_sessions_of_a_process_that_is_gone_are_to_be_asked_for_again(parts: Parts) -> None:
    parts.lost[1] = PeerLost(sent=True)
    fan = KeepaliveFan(owner_of, parts.source, 0)
    parts.renew(1, "sess_1")
    for answers in parts.answers:
        answers.put_nowait(None)
    told = [pb.StreamKeepaliveResponse.FromString(data) async for data in fan.run(asked(["sess_1", "sess_3"]))]
    assert [each.session_id for each in told] == ["sess_1", "sess_3", "sess_1"]
    assert not told[0].HasField("error")
    assert {each.error.code for each in told[1:]} == {errors_pb2.ERROR_CODE_STORE_UNAVAILABLE}


async def test_what_is_known_is_told_before_the_stream_of_the_process_itself_ends_that_of_the_caller(
    parts: Parts,
) -> None:
    parts.lost[0] = Failure(grpc.StatusCode.UNAVAILABLE, "it stops", b"")
    fan = KeepaliveFan(owner_of, parts.source, 0)
    parts.renew(0, "sess_2", "sess_4")  # and no word of the one that was asked for before these
    parts.answers[0].put_nowait(None)
    told = []
    with pytest.raises(Failure):
        async for data in fan.run(asked(["sess_1", "sess_0", "sess_2", "sess_4"])):
            told.append(pb.StreamKeepaliveResponse.FromString(data).session_id)  # noqa: PERF401  # it ends by an error
    assert told == ["sess_2", "sess_4"]


async def test_a_stream_ends_with_its_process_also_when_all_its_sessions_are_elsewhere(parts: Parts) -> None:
    parts.lost[0] = Failure(grpc.StatusCode.UNAVAILABLE, "it stops", b"")
    fan = KeepaliveFan(owner_of, parts.source, 0)
    parts.answers[0].put_nowait(None)
    with pytest.raises(Failure):
        async for _ in fan.run(asked(["sess_1"])):
            pass
