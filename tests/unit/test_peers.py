"""Connections between gateways, and who is to answer what, without a store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.model import new_session_id
from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.gateways import Gateways, ShardRoutes
from gateway.rpc.peers.link import Link, PeerLost
from gateway.rpc.peers.neighbours import NOBODY
from gateway.rpc.peers.proving import Dialled
from gateway.rpc.peers.wire import CallFrame, Connection, Flag, Kind, unpack_call
from gateway.shards import Hold, Peer, Shards, Table
from sessiongateway.v1 import sessions_pb2 as pb
from tests.tls.authority import Authority

SECRET = bytes(range(32))

Files = tuple[Path, Path, Path]
"""Of a certificate, its key, and the authorities of the others."""


class Echo(Visitor):
    """Answers each call with its data."""

    def __init__(self) -> None:
        Connection.__init__(self)

    def received(self, kind: int, number: int, body: bytes) -> None:
        if kind == Kind.CALL:
            self.send(Kind.ANSWER, number, unpack_call(body).data)

    def lost(self) -> None:
        pass


def shards_of(name: str, *peers: Peer) -> Shards:
    """Return what a gateway knows, with a shard for each that has its name."""
    shards = Shards(name)
    shards.entered(name, Table({peer.name: peer for peer in peers}, {peer.name: Hold(1, peer.name) for peer in peers}))
    return shards


@asynccontextmanager
async def two(
    tls: Sequence["tuple[Path, Path, Path] | None"] = (None, None),
) -> AsyncIterator[tuple[Gateways, Gateways]]:
    """Yield two gateways that know each other; the second one listens."""
    clock = SystemClock()
    second = Gateways(Shards("b"), clock, tls[1])
    address = await second.bind("127.0.0.1:0")
    peers = Peer("a", 0, "aa", "", False), Peer("b", 0, "bb", address, False)
    second._shards.entered("b", shards_of("b", *peers).table)
    first = Gateways(shards_of("a", *peers), clock, tls[0])
    first.secret = second.secret = SECRET
    await second.listen(Echo)
    links: list[Link] = []
    try:
        yield first, second
    finally:
        second.close()
        for link in links:
            link.abort()


def call(data: bytes) -> CallFrame:
    return CallFrame(0, Flag.NONE, None, "me", data)


async def test_two_that_know_the_secret_talk_to_each_other() -> None:
    async with two() as (first, _):
        link = await first.connect("bb", Link)
        assert await link.unary(call(b"hello")) == b"hello"
        link.abort()


@pytest.mark.parametrize("secret", [b"", bytes(32)])
async def test_one_that_does_not_know_the_secret_is_not_let_in(secret: bytes) -> None:
    async with two() as (first, _):
        first.secret = secret
        with pytest.raises(OSError, match=r"closed|key"):
            await first.connect("bb", Link)


async def test_who_takes_another_for_the_one_it_dials_is_not_let_in() -> None:
    async with two() as (first, _):
        table = first._shards.table
        other = replace(table.peers["b"], writer="cc")  # as one that has entered anew since
        first._shards.told(Table({**table.peers, "b": other}, table.shards))
        with pytest.raises(OSError, match=r"closed|key"):
            await first.connect("cc", Link)


async def test_what_says_something_else_is_cut_off_and_so_is_what_says_nothing() -> None:
    let_in: list[str] = []

    def visitor(name: str) -> Visitor:
        let_in.append(name)
        return Echo()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Dialled(lambda: SECRET, lambda: "bb", visitor, 0.05), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"x" * 200, b"gateway aa\n" + b"x" * 40, b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.timeout(10):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(1)
        writer.close()
    server.close()
    assert let_in == []


async def test_a_gateway_that_is_not_in_the_table_is_not_dialled() -> None:
    async with two() as (first, _):
        with pytest.raises(OSError, match="not there"):
            await first.connect("nobody", Link)
        assert (first.serving("bb"), first.serving("aa"), first.gone("nobody")) == (True, False, True)


class TestEncrypted:
    """Both ends show a certificate."""

    def files(self, folder: Path, name: str, signer: Authority, trusted: Authority) -> Files:
        certificate, key = signer.peer().in_files(folder, name)
        return certificate, key, trusted.in_file(folder, f"trusted by {name}")

    async def test_gateways_of_one_authority_talk_to_each_other(self, tmp_path: Path) -> None:
        authority = Authority()
        tls = [self.files(tmp_path, name, authority, authority) for name in "ab"]
        async with two(tls) as (first, _):
            link = await first.connect("bb", Link)
            for data in (b"hello", bytes(100_000)):
                assert await link.unary(call(data)) == data
            link.abort()

    @pytest.mark.parametrize("stranger", ["a", "b", "nobody", "plain"])
    async def test_one_of_another_authority_or_without_tls_is_not_let_in(self, tmp_path: Path, stranger: str) -> None:
        authority, other = Authority(), Authority()
        tls: list[Files | None] = [
            self.files(tmp_path, name, other if stranger == name else authority, authority) for name in "ab"
        ]
        if stranger == "plain":
            tls[0] = None
        async with two(tls) as (first, _):
            if stranger == "nobody":
                first.secret = bytes(32)
            with pytest.raises(OSError):  # noqa: PT011  # what OpenSSL says of it differs
                await first.connect("bb", Link)


class TestRoutes:
    """Of gateway a, among a, b and one that has left."""

    def routes(self) -> tuple[ShardRoutes, Shards]:
        peers = [Peer(name, 0, name * 2, f"127.0.0.1:{number}", False) for number, name in enumerate("ab")]
        shards = shards_of("a", *peers, Peer("left", 0, "", "", False))
        return ShardRoutes(shards, Gateways(shards, SystemClock())), shards

    @pytest.mark.parametrize(
        ("shard", "answers"), [("a", "aa"), ("b", "bb"), ("left", "aa"), ("never", NOBODY), ("", NOBODY)]
    )
    def test_a_session_is_for_who_has_its_shard_and_what_is_left_is_answered_here(
        self, shard: str, answers: str
    ) -> None:
        routes, _ = self.routes()
        session_id = new_session_id() + shard
        request = pb.RunRequest(app="app", session=session_id).SerializeToString()
        assert routes.of_call(request, "me") == (answers, Flag.NONE)
        assert routes.of_session(pb.GetSessionRequest(session_id=session_id).SerializeToString()) == answers
        assert routes.is_for_another("Run", request) == (answers == "bb")

    def test_a_request_id_without_a_session_goes_to_the_same_one_from_everywhere(self) -> None:
        routes, shards = self.routes()
        others = Shards("b")
        others.entered("b", shards.table)
        theirs = ShardRoutes(others, Gateways(others, SystemClock()))
        found = set()
        for number in range(40):
            for session in ("", "new"):
                request = pb.RunRequest(app="app", session=session, request_id=f"r{number}").SerializeToString()
                assert routes.of_call(request, "me") == theirs.of_call(request, "me")
                found.add(routes.of_call(request, "me")[0])
        assert found == {"aa", "bb"}

    def test_what_makes_no_sense_is_answered_here(self) -> None:
        routes, _ = self.routes()
        for data in (b"\xff", pb.RunRequest(session="odd").SerializeToString(), b""):
            assert routes.of_call(data, "me")[0] == "aa"
        assert routes.of_session(b"\xff") == "aa"
        assert not routes.is_for_another("Run", b"\xff")


async def test_a_lost_connection_is_told_to_whoever_waits() -> None:
    async with two() as (first, _):
        link = await first.connect("bb", Link)
        link.abort()
        with pytest.raises(PeerLost):
            await link.unary(call(b"hello"))
            await link.unary(call(b"hello"))
