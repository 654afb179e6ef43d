"""A service for tests of the transports: what its handlers do is in the message, or held at an event."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

Context = Any

MAX_MESSAGE = 1024 * 1024
NAME = "test.Echo"


class Echo:
    """Bytes in, bytes out. `left` has the names of handlers that were cancelled, `arrived` counts those that began."""

    def __init__(self) -> None:
        self.arrived = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()
        self.left: asyncio.Queue[str] = asyncio.Queue()
        self.written = 0

    async def say(self, request: bytes, context: Context) -> bytes:
        return request

    async def metadata(self, request: bytes, context: Context) -> bytes:
        pairs = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-")]
        await context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\x00\xff")))
        return repr(pairs).encode()

    async def peer(self, request: bytes, context: Context) -> bytes:
        return str(context.peer()).encode()

    async def remaining(self, request: bytes, context: Context) -> bytes:
        return repr(context.time_remaining()).encode()

    async def refuse(self, request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode(), (("x-details-bin", b"\x01\x02"),))
        raise AssertionError("abort returns")

    async def fail(self, request: bytes, context: Context) -> bytes:
        raise ValueError("this goes to the log")

    async def hold(self, request: bytes, context: Context) -> bytes:
        try:
            self.arrived.release()
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.left.put_nowait("hold")
            raise
        return request

    async def count(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            for number in range(int(request)):
                yield b"%d" % number
                self.written = number + 1
        finally:
            self.left.put_nowait("count")

    async def write(self, request: bytes, context: Context) -> None:
        try:
            for _ in range(1000):
                await context.write(request)
                self.written += 1
        finally:
            self.left.put_nowait("write")

    async def collect(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        return b",".join([request async for request in requests])

    async def both(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            async for request in requests:
                yield request
        finally:
            self.left.put_nowait("both")

    async def sizes(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield b"%d" % len(request)

    async def unread(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        self.arrived.release()
        await self.go_on.wait()
        async for request in requests:
            yield b"%d" % len(request)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return them for a server."""
        unary = (self.say, self.metadata, self.peer, self.remaining, self.refuse, self.fail, self.hold)
        methods: dict[str, Any] = {method.__name__: grpc.unary_unary_rpc_method_handler(method) for method in unary}
        for answers in (self.count, self.write):
            methods[answers.__name__] = grpc.unary_stream_rpc_method_handler(answers)
        methods["collect"] = grpc.stream_unary_rpc_method_handler(self.collect)
        for streams in (self.both, self.sizes, self.unread):
            methods[streams.__name__] = grpc.stream_stream_rpc_method_handler(streams)
        return grpc.method_handlers_generic_handler(NAME, methods)
