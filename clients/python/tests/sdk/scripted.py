"""A gateway whose every answer is written by the test, served over a real port."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2

from sessiongateway.v1 import apps_pb2_grpc, sessions_pb2, sessions_pb2_grpc

Handler = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[AsyncIterator[sessions_pb2.StreamKeepaliveRequest], Any], AsyncIterator[Any]]

WAIT = 10
"""Seconds after which an event that does not come fails the test."""


class ScriptedGateway:
    """Runs on a thread of its own, so that a synchronous client may block the test's thread."""

    def __init__(self) -> None:
        self.port = 0
        self.received: dict[str, list[Any]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.handlers: dict[str, Handler] = {}
        self.stream: Stream | None = None
        self.answer_streams: dict[str, Stream] = {}
        """What answers RunStream and WatchSessions: an async generator over the request."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="scripted gateway")
        self._thread.start()
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen: at first on a free port, and after a stop on the same again."""
        self._on_loop(self._start())

    def stop(self) -> None:
        """Cut all connections."""
        self._on_loop(self._stop())

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def on(self, method: str, handler: Handler) -> None:
        """Let a function (request, context) -> response answer a method."""
        self.handlers[method] = handler

    def answer(self, method: str, *responses: Message) -> None:
        """Let a method answer with these, one after another, the last one for ever."""
        left = list(responses)

        async def handler(request: Any, context: Any) -> Message:
            return left.pop(0) if len(left) > 1 else left[0]

        self.handlers[method] = handler

    def fail(self, method: str, status: grpc.StatusCode, message: str = "", *details: Message) -> None:
        """Let a method answer with a status, which carries the details if there are any."""

        async def handler(request: Any, context: Any) -> Any:
            await abort(context, status, message, *details)

        self.handlers[method] = handler

    def hang(self, method: str) -> tuple[threading.Event, threading.Event]:
        """Let a method answer never; returns the events that it began and that it was cancelled."""
        begun, cancelled = threading.Event(), threading.Event()

        async def handler(request: Any, context: Any) -> Any:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        self.handlers[method] = handler
        return begun, cancelled

    async def dispatch(self, method: str, request: Any, context: Any) -> Any:
        self.received.setdefault(method, []).append(request)
        self.metadata[method] = dict(context.invocation_metadata())
        return await self.handlers[method](request, context)

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT)

    async def _start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        sessions_pb2_grpc.add_SessionServiceServicer_to_server(_Sessions(self), self._server)
        apps_pb2_grpc.add_AppServiceServicer_to_server(_Apps(self), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


async def abort(context: Any, status: grpc.StatusCode, message: str, *details: Message) -> None:
    """End a call with a status and its details."""
    trailers: tuple[tuple[str, bytes], ...] = ()
    if details:
        packed = [any_pb2.Any() for _ in details]
        for box, detail in zip(packed, details, strict=True):
            box.Pack(detail)
        rich = status_pb2.Status(code=status.value[0], message=message, details=packed)
        trailers = (("grpc-status-details-bin", rich.SerializeToString()),)
    await context.abort(status, message, trailing_metadata=trailers)


class KeepaliveScript:
    """The gateway's side of keepalive streams, played step by step by the test.

    Every message of the client goes to `asked`. What is put with `push` goes to the client. Sessions in `alive` are
    renewed by themselves, those in `errors` are answered with their error.
    """

    def __init__(self, gateway: ScriptedGateway) -> None:
        self.asked: queue.Queue[list[str]] = queue.Queue()
        self.opened: queue.Queue[int] = queue.Queue()
        self.closed: queue.Queue[int] = queue.Queue()
        self.alive: dict[str, int] = {}
        self.errors: dict[str, Any] = {}
        self.refusals: list[tuple[grpc.StatusCode, tuple[Message, ...]]] = []
        self._gateway = gateway
        self._count = 0
        self._push: Callable[[Any], None] = lambda response: None
        gateway.stream = self.serve

    def push(self, response: sessions_pb2.StreamKeepaliveResponse | None) -> None:
        """Send something unasked over the newest stream; None ends it."""
        self._gateway.loop.call_soon_threadsafe(self._push, response)

    def next_asked(self) -> list[str]:
        """Wait for the next message of the client."""
        return self.asked.get(timeout=WAIT)

    async def serve(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        if self.refusals:
            status, details = self.refusals.pop(0)
            # Only then, because grpc.aio replaces the status of a call whose write fails by one of its own.
            await anext(requests)
            await abort(context, status, "refused", *details)
        answers: asyncio.Queue[Any] = asyncio.Queue()
        self._push = answers.put_nowait
        self._count += 1
        number = self._count
        self.opened.put(number)
        reader = asyncio.ensure_future(self._read(requests, answers))
        try:
            while (response := await answers.get()) is not None:
                yield response
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            self.closed.put(number)

    async def _read(self, requests: Any, answers: asyncio.Queue[Any]) -> None:
        async for request in requests:
            for session_id in request.session_ids:
                response = sessions_pb2.StreamKeepaliveResponse(session_id=session_id)
                if session_id in self.errors:
                    response.error.CopyFrom(self.errors[session_id])
                elif session_id in self.alive:
                    timeout = self.alive[session_id]
                    response.session.CopyFrom(sessions_pb2.Session(id=session_id, session_timeout=timeout))
                else:
                    continue
                answers.put_nowait(response)
            self.asked.put(list(request.session_ids))
        answers.put_nowait(None)


class _Sessions(sessions_pb2_grpc.SessionServiceServicer):
    def __init__(self, gateway: ScriptedGateway) -> None:
        self._gateway = gateway

    async def Run(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("Run", request, context)

    async def GetSession(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("GetSession", request, context)

    async def ListSessions(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("ListSessions", request, context)

    async def Keepalive(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("Keepalive", request, context)

    async def EndSession(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("EndSession", request, context)

    async def StreamKeepalive(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        assert self._gateway.stream is not None
        async for response in self._gateway.stream(request_iterator, context):
            yield response

    async def RunStream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._gateway.received.setdefault("RunStream", []).append(request)
        async for response in self._gateway.answer_streams["RunStream"](request, context):
            yield response

    async def WatchSessions(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self._gateway.answer_streams["WatchSessions"](request, context):
            yield response


class _Apps(apps_pb2_grpc.AppServiceServicer):
    def __init__(self, gateway: ScriptedGateway) -> None:
        self._gateway = gateway

    async def ListApps(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("ListApps", request, context)

    async def GetApp(self, request: Any, context: Any) -> Any:
        return await self._gateway.dispatch("GetApp", request, context)
