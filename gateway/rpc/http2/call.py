"""One RPC: its handler's task, and the context that the handler is given."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, NoReturn, Self

import grpc

from gateway.auth.certificates import Shown
from gateway.rpc.http2._nghttp2 import (
    EVENT_CLOSE,
    EVENT_DRAIN,
    EVENT_END,
    EVENT_FAIL,
    EVENT_MESSAGE,
    EVENT_OPEN,
    EVENT_REJECT,
    Http2Error,
    Route,
    Stream,
)
from gateway.rpc.http2.wire import BadMessage, decompressed, metadata_fields, status_fields

logger = logging.getLogger("gateway.rpc.http2")

_WRITE_AHEAD = 64 * 1024
"""Bytes of a stream's answers that wait for the peer before `write` waits, too."""

_UNSUPPORTED_MEDIA_TYPE = b"415"

Metadata = Iterable[tuple[str, str | bytes]]


class RpcOver(Exception):
    """The RPC has ended, by the caller or by a status: nothing can be written any more."""


class Method(Route):
    """A handler, with what it takes to call it worked out once."""

    def __init__(self, handler: "grpc.RpcMethodHandler[Any, Any]") -> None:
        """`handler` is one of grpc's, with a coroutine function, or an async generator function, of its kind."""
        super().__init__(handler.request_streaming)
        kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
        behaviour = kinds[2 * handler.request_streaming + handler.response_streaming]
        if behaviour is None:
            raise TypeError("the handler has no behaviour of its kind")
        self.behaviour: Callable[[Any, Any], Any] = behaviour
        self.deserialize: Callable[[bytes], Any] = handler.request_deserializer or _as_it_is
        self.serialize: Callable[[Any], bytes] = handler.response_serializer or _as_it_is
        self.serve: Callable[[Call], Coroutine[Any, Any, None]] = Call.serve_unary
        if handler.response_streaming:
            generates = inspect.isasyncgenfunction(behaviour)
            self.serve = Call.serve_generator if generates else Call.serve_writer


def _as_it_is(message: Any) -> Any:
    return message


class Requests:
    """The messages of a streaming request. They end when the peer has sent the last one, and when the RPC is over."""

    def __init__(self, call: "Call") -> None:
        self._call = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        request = await self._call.read()
        if request is grpc.aio.EOF:
            raise StopAsyncIteration
        return request


class Call(Stream):
    """One RPC. To its handler it is what grpc.aio.ServicerContext is, as far as that makes sense here."""

    # What happens.

    def advance(self) -> None:
        """Act on what happened on the stream."""
        events = self.take_events()
        if events == EVENT_OPEN:
            self._begin()
            return
        if events & EVENT_OPEN and not self.closed:
            self._begin()
        if events & EVENT_REJECT:
            self.reject(_UNSUPPORTED_MEDIA_TYPE)
        if events & EVENT_FAIL:
            self.end(self.failure, self.failure_text or "")
        if events & (EVENT_MESSAGE | EVENT_END | EVENT_CLOSE) and self.reader is not None and not self.reader.done():
            self.reader.set_result(None)
        if events & (EVENT_DRAIN | EVENT_CLOSE):
            self._wake_writers()
        if events & EVENT_CLOSE:
            self._cancel()

    def end(self, code: int, details: str) -> None:
        """End the RPC with a status of the transport, and cancel its handler. Nothing happens to one that has ended."""
        if not self.finished and not self.closed:
            self.finish(status_fields(code, details))
            self.connection.flush_soon()
        self._cancel()

    def _begin(self) -> None:
        connection = self.connection
        if self.timeout >= 0.0:
            self.deadline = connection.loop.time() + self.timeout
            self.timer = connection.loop.call_later(self.timeout, self._deadline_passed)
        self.task = connection.loop.create_task(self.route.serve(self), name="rpc")
        connection.calls.add(self)

    def _deadline_passed(self) -> None:
        self.timer = None
        self.end(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "Deadline Exceeded")

    def _cancel(self) -> None:
        if self.task is not None:
            # Of a task that has not begun, nothing runs any more, not even its `finally`.
            self.task.add_done_callback(self._task_done)
            self.task.cancel()

    def _task_done(self, _: "asyncio.Task[None]") -> None:
        if self.task is not None:
            self._handler_done()

    def _wake_writers(self) -> None:
        writers, self.writers = self.writers, None
        for writer in writers or ():
            if not writer.done():
                writer.set_result(None)

    # The handler's task.

    async def serve_unary(self) -> None:
        """Run a handler that gives one answer."""
        method = self.route
        try:
            response = method.serialize(await method.behaviour(self._request(), self))
            if self.status is None:
                self.respond(response)
            else:
                self._finish_as_set(response)
        except BaseException as error:  # noqa: BLE001  # sorted out there
            self._failed(error)
        finally:
            self._handler_done()

    async def serve_writer(self) -> None:
        """Run a handler that writes its answers through the context."""
        try:
            await self.route.behaviour(self._request(), self)
            self._finish_as_set(None)
        except BaseException as error:  # noqa: BLE001  # sorted out there
            self._failed(error)
        finally:
            self._handler_done()

    async def serve_generator(self) -> None:
        """Run a handler that is a generator of answers."""
        try:
            async with aclosing(self.route.behaviour(self._request(), self)) as responses:
                async for response in responses:
                    await self.write(response)
            self._finish_as_set(None)
        except BaseException as error:  # noqa: BLE001  # sorted out there
            self._failed(error)
        finally:
            self._handler_done()

    def _request(self) -> Any:
        if self.route.request_streaming:
            return Requests(self)
        return self._deserialized(self.take())

    def _deserialized(self, message: Any) -> Any:
        if message.__class__ is tuple:
            message = decompressed(message[0], self.encoding, self.connection.max_message)
        return self.route.deserialize(message)

    def _finish_as_set(self, response: bytes | None) -> None:
        code, details, metadata = self.status or (grpc.StatusCode.OK, "", ())
        if response is not None and code is grpc.StatusCode.OK:
            self.send_message(response)
        self.finish(status_fields(code.value[0], details, metadata))

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            # Whoever cancelled has ended the RPC, unless it is the end of the whole program.
            self.finish(status_fields(grpc.StatusCode.CANCELLED.value[0], "the call was cancelled"))
        elif isinstance(error, BadMessage):
            self.finish(status_fields(error.code.value[0], str(error)))
        elif isinstance(error, Http2Error | MemoryError):
            # Half of an answer may be with nghttp2 by then.
            self.connection.broken(error)
        elif isinstance(error, Exception):
            if not isinstance(error, grpc.aio.AbortError | RpcOver):
                logger.error("the handler of %s failed", self.path.decode(errors="replace"), exc_info=error)
            self.finish(status_fields(grpc.StatusCode.UNKNOWN.value[0], "the handler failed"))
        if not isinstance(error, Exception):
            raise error

    def _handler_done(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.task = None
        connection = self.connection
        connection.calls.discard(self)
        connection.flush_soon()

    # What a handler may ask for and do.

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Return the metadata of the request."""
        return tuple(self.metadata)

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline, None for none."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - float(self.connection.loop.time()))

    def peer(self) -> str:
        """Return the caller's address, such as `ipv4:127.0.0.1:4711`."""
        return str(self.connection.peer())

    @property
    def peer_certificate(self) -> Shown | None:
        """What counts of the certificate with which the caller has connected, None for none."""
        found: Shown | None = self.connection.peer_certificate
        return found

    def done(self) -> bool:
        """Whether a status has been sent, or the caller is gone."""
        return self.finished or self.closed

    def cancelled(self) -> bool:
        """Whether the caller went away before there was a status."""
        return self.closed and not self.finished

    async def read(self) -> Any:
        """Return the next message of the request, or grpc.aio.EOF. Raises BadMessage."""
        while True:
            message = self.take()
            if message is not None:
                if self.waiting == 0:
                    self.connection.flush_if_wanted()
                return self._deserialized(message)
            if self.ended or self.closed or self.finished:
                return grpc.aio.EOF
            self.reader = self.connection.loop.create_future()
            try:
                await self.reader
            finally:
                self.reader = None

    async def write(self, message: Any) -> None:
        """Send one message of the answer; waits while many wait for the peer. Raises RpcOver."""
        if self.finished or self.closed:
            raise RpcOver
        self.send_message(self.route.serialize(message))
        connection = self.connection
        connection.flush_soon()
        if self.pending > _WRITE_AHEAD:
            self.wants_drain = True
            writer = connection.loop.create_future()
            self.writers = [*(self.writers or ()), writer]
            await writer
            if self.closed:
                raise RpcOver

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Send the header fields of the answer. Raises ValueError for metadata that gRPC does not allow."""
        self.send_headers(metadata_fields(metadata))
        self.connection.flush_soon()

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        """End the RPC with a status. Always raises, so that nothing of the handler follows."""
        self.finish(status_fields(code.value[0], details, trailing_metadata))
        raise grpc.aio.AbortError("aborted by the handler")

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the code of the status that the end of the handler sends."""
        _, details, metadata = self.status or (None, "", ())
        self.status = (code, details, metadata)

    def set_details(self, details: str) -> None:
        """Set the message of the status that the end of the handler sends."""
        code, _, metadata = self.status or (grpc.StatusCode.OK, "", ())
        self.status = (code, details, metadata)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Set the metadata of the status that the end of the handler sends."""
        code, details, _ = self.status or (grpc.StatusCode.OK, "", ())
        self.status = (code, details, tuple(metadata))
