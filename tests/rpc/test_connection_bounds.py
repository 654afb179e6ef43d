"""Connections have an end: silent, old, idle and surplus ones are closed, and no call of a good client notices."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
import uvloop

from gateway.rpc.bounds import Bounds
from gateway.rpc.certificates import Certificates
from gateway.testing.waiting import until
from tests.rpc.conftest import Served, needs_nghttp2, serving
from tests.rpc.peer import (
    ACK,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    NO_ERROR,
    PING,
    PREFACE,
    SETTINGS,
    Peer,
    frame,
    prefixed,
    request,
)

pytestmark = pytest.mark.timeout(60)

TRANSPORTS = [pytest.param("nghttp2", marks=needs_nghttp2), "grpcio"]
both = pytest.mark.parametrize("transport", TRANSPORTS)
native = pytest.mark.parametrize("transport", TRANSPORTS[:1])

PATIENCE = 20.0
LAST = 2**31 - 1
"""The stream that the first of two GOAWAY frames names."""


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[Peer]:
    peer = await Peer.connect(served.port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield peer
    finally:
        await peer.close()


def last_stream(payload: bytes) -> int:
    return int.from_bytes(payload[:4], "big")


def code(payload: bytes) -> int:
    return int.from_bytes(payload[4:8], "big")


@both
async def test_a_peer_that_vanishes_is_noticed_and_its_calls_are_cancelled(transport: str) -> None:
    async with serving(transport, bounds=Bounds(keepalive_time=0.3, keepalive_timeout=0.3)) as served:
        async with connected(served) as peer:
            peer.call(1, request("hold"), prefixed(b"x"))
            assert (await peer.until(PING)).flags & ACK == 0
            # It is not answered: as if the network had gone.
            await peer.rest()
            assert await asyncio.wait_for(served.echo.left.get(), PATIENCE) == "hold"
        assert await served.unary("say")(b"others") == b"others"


@both
async def test_a_quiet_peer_that_answers_pings_stays(transport: str) -> None:
    async with (
        serving(transport, bounds=Bounds(keepalive_time=0.2, keepalive_timeout=5.0)) as served,
        connected(served) as peer,
    ):
        for _ in range(5):
            asked = await peer.until(PING)
            peer.send(frame(PING, ACK, 0, asked.payload))
        peer.call(1, request("say"), prefixed(b"x"))
        assert (await peer.outcome(1)).data == prefixed(b"x")


@needs_nghttp2
def test_a_loop_that_was_held_up_does_not_take_its_peers_for_dead() -> None:
    async def held_up() -> None:
        bounds = Bounds(keepalive_time=0.05, keepalive_timeout=0.2)
        async with serving("nghttp2", bounds=bounds) as served, connected(served) as peer:
            asked = await peer.until(PING)
            # The answer is in the server's socket, and the time for it is over, before the server looks at either.
            peer.send(frame(PING, ACK, 0, asked.payload))
            time.sleep(0.5)  # noqa: ASYNC251  # that is what is tried
            peer.call(1, request("say"), prefixed(b"x"))
            assert (await peer.outcome(1)).data == prefixed(b"x")

    uvloop.run(held_up())  # the gateway's loop, which looks at timers before sockets


@both
async def test_calls_go_on_over_connections_that_come_of_age(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_age=0.1, age_grace=5.0)) as served:
        calls = 0
        peers: set[bytes] = set()
        async with asyncio.timeout(PATIENCE):
            while len(peers) < 5:
                call = served.unary("say")(b"%d" % calls)
                assert await call == b"%d" % calls
                peers.add(await own_port(served))
                calls += 1
        assert calls > 5


async def own_port(served: Served) -> bytes:
    """Return what the server sees as the address of the channel's connection."""
    return await served.unary("peer")(b"")


@both
async def test_a_call_that_runs_when_its_connection_comes_of_age_is_answered(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_age=0.2, age_grace=PATIENCE)) as served, connected(served) as peer:
        peer.answers_pings = True
        peer.call(1, request("hold"), prefixed(b"x"))
        first = await peer.until(GOAWAY)
        assert (last_stream(first.payload), code(first.payload)) == (LAST, NO_ERROR)
        # What was sent before the peer had heard is served as well.
        peer.call(3, request("say"), prefixed(b"y"))
        assert (await peer.outcome(3)).data == prefixed(b"y")
        served.echo.go_on.set()
        assert (await peer.outcome(1)).data == prefixed(b"x")
        await peer.rest()


@native
async def test_the_second_goodbye_names_the_last_stream(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_age=0.2, age_grace=PATIENCE)) as served, connected(served) as peer:
        peer.answers_pings = True
        peer.call(1, request("hold"), prefixed(b"x"))
        await peer.until(GOAWAY)
        second = await peer.until(GOAWAY)
        assert (last_stream(second.payload), code(second.payload)) == (1, NO_ERROR)
        served.echo.go_on.set()


@native
async def test_a_peer_that_never_acknowledges_its_end_is_told_the_last_stream_all_the_same(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_age=0.2, age_grace=PATIENCE)) as served, connected(served) as peer:
        peer.call(1, request("hold"), prefixed(b"x"))
        await peer.until(GOAWAY)
        assert last_stream((await peer.until(GOAWAY)).payload) == 1
        served.echo.go_on.set()
        await peer.rest()


@both
async def test_streams_end_as_unavailable_when_the_grace_is_over(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_age=0.2, age_grace=0.3)) as served:
        stream = served.both("both")()
        await stream.write(b"x")
        assert await stream.read() == b"x"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await asyncio.wait_for(stream.read(), PATIENCE)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.wait_for(served.echo.left.get(), PATIENCE) == "both"
        assert await served.unary("say")(b"others") == b"others"


@both
async def test_an_idle_connection_is_closed_and_one_with_a_call_is_not(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_idle=0.3)) as served, connected(served) as busy:
        busy.call(1, request("hold"), prefixed(b"x"))
        async with connected(served) as idle:
            assert (await idle.until(GOAWAY)).stream == 0
            await idle.rest()
        served.echo.go_on.set()
        assert (await busy.outcome(1)).data == prefixed(b"x")


@both
@pytest.mark.parametrize("flood", [frame(PING, 0, 0, bytes(8))])
async def test_who_sends_pings_without_end_is_told_to_calm_down(transport: str, flood: bytes) -> None:
    async with serving(transport) as served, connected(served) as peer:
        peer.send(flood * 300)
        end = await peer.until(GOAWAY)
        assert code(end.payload) == ENHANCE_YOUR_CALM
        assert end.payload[8:] == b"too_many_pings"
        await peer.rest()
        assert await served.unary("say")(b"others") == b"others"


@both
async def test_pings_that_measure_what_was_sent_are_no_flood(transport: str) -> None:
    async with serving(transport) as served, connected(served) as peer:
        for number in range(1, 801, 2):
            peer.send(frame(PING, 0, 0, bytes(8)) * 2)
            peer.call(number, request("say"), prefixed(b"x"))
            assert (await peer.outcome(number)).data == prefixed(b"x")


@native
@pytest.mark.parametrize("flood", [frame(SETTINGS, 0, 0), frame(2, 0, 1, bytes(5)), frame(0, 0, 1)])
async def test_other_frames_that_say_nothing_count_as_much(transport: str, flood: bytes) -> None:
    async with serving(transport) as served, connected(served) as peer:
        peer.open(1, request("both"))
        peer.send(flood * 300)
        assert code((await peer.until(GOAWAY)).payload) == ENHANCE_YOUR_CALM
        await peer.rest()
        assert await served.unary("say")(b"others") == b"others"


@native
async def test_beyond_the_limit_the_longest_idle_connection_goes(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_connections=3)) as served:
        assert await served.unary("say")(b"x") == b"x"
        async with connected(served) as busy, connected(served) as idle:
            busy.call(1, request("hold"), prefixed(b"x"))
            await served.echo.arrived.acquire()
            async with connected(served) as fresh:
                assert code((await idle.until(GOAWAY)).payload) == NO_ERROR
                await idle.rest()
                assert (await fresh.answer(1, request("say"), prefixed(b"y"))).data == prefixed(b"y")
                # To the client whose connection goes for another one, that is a reconnect.
                assert await served.unary("say")(b"x") == b"x"
            served.echo.go_on.set()
            assert (await busy.outcome(1)).data == prefixed(b"x")
            assert len(served.server.connections) <= 3  # type: ignore[attr-defined]


@both
async def test_a_connection_too_many_is_refused_where_all_others_have_calls(transport: str) -> None:
    async with serving(transport, bounds=Bounds(max_connections=4)) as served, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connected(served)) for _ in range(4)]
        for peer in peers:
            peer.call(1, request("hold"), prefixed(b"x"))
            await served.echo.arrived.acquire()
        async with connected(served) as surplus:
            assert [got for got in await surplus.rest() if got.kind == SETTINGS] == []
        served.echo.go_on.set()
        for peer in peers:
            assert (await peer.outcome(1)).data == prefixed(b"x")
            await peer.close()
        # There is room again.
        assert await served.unary("say")(b"others", wait_for_ready=True, timeout=PATIENCE) == b"others"


@both
async def test_half_open_connections_do_not_keep_others_out(transport: str) -> None:
    handshake = ("grpc.server_handshake_timeout_ms", 500)
    async with serving(transport, bounds=Bounds(max_connections=20), options=[handshake]) as served:
        silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(30)]
        for _, writer in silent[10:]:
            writer.write(PREFACE[:10])
        assert await served.unary("say")(b"others", wait_for_ready=True, timeout=PATIENCE) == b"others"
        for _, writer in silent:
            writer.close()


@native
async def test_handshakes_of_tls_that_are_never_finished_do_not_keep_others_out(
    transport: str, tls: tuple[Certificates, bytes]
) -> None:
    async with serving(transport, tls=tls, bounds=Bounds(max_connections=20)) as served:
        silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(60)]
        crowd = served.server.crowd  # type: ignore[attr-defined]
        await until(lambda: crowd.ends["crowded"] == 40)
        assert await served.unary("say")(b"others") == b"others"
        assert len(crowd.handshakes) + len(crowd.connections) <= 20
        for _, writer in silent:
            writer.close()
        await until(lambda: not crowd.handshakes)
