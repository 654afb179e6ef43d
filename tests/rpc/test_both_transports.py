"""What holds on either transport, seen by gRPC's own client."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.rpc import transports
from tests.rpc.conftest import OPTIONS, Served
from tests.rpc.echo import MAX_MESSAGE

pytestmark = pytest.mark.timeout(30)

_GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
"""How gRPC's client calls a server that is stopping, or has been stopped; it depends on when it is told."""


async def status_of(call: object) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return raised.value.code(), raised.value.details()


@pytest.mark.parametrize("size", [0, 1, 5, 100_000, MAX_MESSAGE])
async def test_a_message_comes_back_as_it_was_sent(served: Served, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert await served.unary("say")(message) == message


async def test_many_calls_at_once_each_get_their_own_answer(served: Served) -> None:
    say = served.unary("say")
    messages = [b"%d" % number for number in range(500)]
    assert await asyncio.gather(*map(say, messages)) == messages


async def test_metadata_go_both_ways(served: Served) -> None:
    sent = (("x-text", "two words"), ("x-text", "again"), ("x-bytes-bin", b"\x00\x01\xff"), ("x-none-bin", b""))
    call = served.unary("metadata")(b"", metadata=sent)
    assert await call == repr(list(sent)).encode()
    assert ("x-first", "1") in list(await call.initial_metadata())
    assert list(await call.trailing_metadata()) == [("x-last", "2"), ("x-last-bin", b"\x00\xff")]


@pytest.mark.parametrize("details", ["plain", "50% of it\n", "größer – 語", ""])
async def test_a_status_arrives_with_its_text_and_its_trailers(served: Served, details: str) -> None:
    call = served.unary("refuse")(details.encode())
    assert await status_of(call) == (grpc.StatusCode.FAILED_PRECONDITION, details)
    assert dict(await call.trailing_metadata())["x-details-bin"] == b"\x01\x02"


async def test_an_error_of_a_handler_is_unknown(served: Served) -> None:
    code, _ = await status_of(served.unary("fail")(b""))
    assert code is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("path", ["/test.Echo/nothing", "/no.Service/say", "/"])
async def test_an_unknown_method_is_unimplemented(served: Served, path: str) -> None:
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = served.channel.unary_unary(path)
    call = method(b"")
    assert await status_of(call) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


async def test_a_message_beyond_the_limit_is_resource_exhausted_and_the_connection_goes_on(served: Served) -> None:
    code, details = await status_of(served.unary("say")(b"x" * (MAX_MESSAGE + 1)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"({MAX_MESSAGE + 1} vs. {MAX_MESSAGE})" in (details or "")
    assert await served.unary("say")(b"next") == b"next"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_read(served: Served, compression: grpc.Compression) -> None:
    message = b"the same again " * 10_000
    assert await served.unary("say")(message, compression=compression) == message


async def test_a_handler_sees_the_time_that_is_left(served: Served) -> None:
    assert 18.0 < float(await served.unary("remaining")(b"", timeout=20)) < 20.5
    assert await served.unary("remaining")(b"") == b"None"


async def test_a_deadline_cancels_the_handler(served: Served) -> None:
    code, _ = await status_of(served.unary("hold")(b"", timeout=0.3))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await served.echo.left.get() == "hold"


async def test_a_cancel_cancels_the_handler(served: Served) -> None:
    call = served.unary("hold")(b"")
    held = asyncio.ensure_future(_code_of(call))
    await served.echo.arrived.acquire()
    call.cancel()
    assert await served.echo.left.get() == "hold"
    assert await held is grpc.StatusCode.CANCELLED


async def _code_of(call: "grpc.aio.UnaryUnaryCall[bytes, bytes]") -> grpc.StatusCode:
    return await call.code()


async def test_a_lost_connection_cancels_the_handler(served: Served) -> None:
    held = asyncio.ensure_future(_code_of(served.unary("hold")(b"")))
    await served.echo.arrived.acquire()
    await served.channel.close()
    assert await served.echo.left.get() == "hold"
    assert await held is not grpc.StatusCode.OK


async def test_a_stream_of_answers_ends_with_its_status(served: Served) -> None:
    call = served.answers("count")(b"5000")
    assert [int(number) async for number in call] == list(range(5000))
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_of_requests_is_collected_until_the_caller_ends_it(served: Served) -> None:
    async def requests() -> AsyncIterator[bytes]:
        for number in range(500):
            yield b"%d" % number

    answer = await served.requests("collect")(requests())
    assert answer == b",".join(b"%d" % number for number in range(500))


async def test_each_message_is_answered_while_both_sides_stream(served: Served) -> None:
    call = served.both("both")()
    for size in (1, 0, 200_000, 3):
        await call.write(b"y" * size)
        assert await call.read() == b"y" * size
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_cancel_ends_a_handler_that_reads(served: Served) -> None:
    call = served.both("both")()
    await call.write(b"one")
    assert await call.read() == b"one"
    call.cancel()
    assert await served.echo.left.get() == "both"


async def test_a_reader_that_is_slow_holds_back_the_handler_that_writes(served: Served) -> None:
    call = served.answers("write")(b"z" * 100_000)
    assert await call.read() == b"z" * 100_000
    for _ in range(200):
        await served.unary("say")(b"")
    assert served.echo.written < 100
    call.cancel()
    assert await served.echo.left.get() == "write"


async def test_a_handler_that_does_not_read_holds_back_the_caller_and_loses_nothing(served: Served) -> None:
    call = served.both("unread")()
    sent = 0

    async def send() -> None:
        nonlocal sent
        for _ in range(200):
            await call.write(b"w" * 100_000)
            sent += 1
        await call.done_writing()

    sending = asyncio.create_task(send())
    await served.echo.arrived.acquire()
    for _ in range(200):
        await served.unary("say")(b"")
    assert sent < 100
    served.echo.go_on.set()
    assert [answer async for answer in call] == [b"100000"] * 200
    await sending


async def test_stopping_lets_calls_finish_and_refuses_new_ones(served: Served) -> None:
    held = served.unary("hold")(b"still")
    await served.echo.arrived.acquire()
    stopping = asyncio.create_task(served.server.stop(20))
    async with asyncio.timeout(10):
        while True:  # until the client has been told
            try:
                await served.unary("say")(b"", timeout=5)
            except grpc.aio.AioRpcError as error:
                assert error.code() in _GONE  # noqa: PT017
                break
    assert not stopping.done()
    served.echo.go_on.set()
    assert await held == b"still"
    await stopping


async def test_stopping_cuts_what_outlasts_the_grace(served: Served) -> None:
    held = served.unary("hold")(b"")
    await served.echo.arrived.acquire()
    await served.server.stop(0.1)
    code, _ = await status_of(held)
    assert code in _GONE
    assert await served.echo.left.get() == "hold"


async def test_an_answer_that_is_still_on_its_way_is_not_lost_by_stopping(served: Served) -> None:
    answer = served.unary("say")(b"l" * MAX_MESSAGE)
    held = served.unary("hold")(b"l" * MAX_MESSAGE)
    await served.echo.arrived.acquire()
    stopping = asyncio.create_task(served.server.stop(20))
    served.echo.go_on.set()
    assert await answer == await held == b"l" * MAX_MESSAGE
    await stopping


async def test_an_address_that_is_taken_cannot_be_taken_again(served: Served) -> None:
    with pytest.raises(RuntimeError):
        transports.make(served.transport, OPTIONS).add_insecure_port(f"127.0.0.1:{served.port}")


async def test_an_address_may_be_shared_by_servers_that_say_so(served: Served) -> None:
    options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 1)]
    first, second = (transports.make(served.transport, options) for _ in range(2))
    port = first.add_insecure_port("127.0.0.1:0")
    assert second.add_insecure_port(f"127.0.0.1:{port}") == port
    for server in (first, second):
        await server.start()
        await server.stop(0)
