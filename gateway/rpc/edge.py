"""Around every handler: bytes to message, error to status. Unary and streaming alike, and nowhere else.

The handlers are wrapped once, when the server is made. An interceptor would be looked up and run again for each call
(docs/adr/0005-errors-at-the-edge.md).
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.clock import Clock
from gateway.errors import (
    GatewayDraining,
    GatewayError,
    InternalError,
    InvalidRequest,
    RunState,
    StoreUnavailable,
    Violation,
)
from gateway.rpc.callers import caller_of
from gateway.rpc.details import status_of
from gateway.rpc.error_table import row_of

logger = logging.getLogger("gateway.rpc")

DETAILS_KEY = "grpc-status-details-bin"
_CALLS = frozenset({"Run", "RunStream"})
"""Methods whose errors say whether a call ran."""

_OUR_SIDE = 500
"""From this HTTP status on it was not the caller's doing, and whoever runs the gateway may want to find the call."""

_TOLD_ONCE = (GatewayDraining, StoreUnavailable)
"""What the log says when it begins, and not for every caller."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def generic_handler(service: ServiceDescriptor, servicer: object, clock: Clock) -> grpc.GenericRpcHandler:
    """Return the handler of a service: each method of its descriptor is the method of the same name of the servicer.

    A unary method is `async (request, caller) -> response`; one whose answer is a stream is an async generator over
    `(request, caller)`, and one that streams both ways over `(requests, caller)`.
    """
    handlers = {}
    for method in service.methods:
        wrap = _unary if not method.server_streaming else _stream if method.client_streaming else _server_stream
        handlers[method.name] = wrap(method, getattr(servicer, method.name), clock)
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _unary(method: MethodDescriptor, handle: Callable[..., Any], clock: Clock) -> "grpc.RpcMethodHandler[Any, Any]":
    decode = _decoder(method)

    async def call(data: bytes, context: Context) -> Message:
        try:
            response: Message = await handle(decode(data), caller_of(context, clock))
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error)
        return response

    return grpc.unary_unary_rpc_method_handler(call, response_serializer=_encode)


def _server_stream(
    method: MethodDescriptor, handle: Callable[..., Any], clock: Clock
) -> "grpc.RpcMethodHandler[Any, Any]":
    decode = _decoder(method)

    # A coroutine that writes rather than a generator that yields: when the caller goes away while an answer is being
    # written, this frame is cancelled at once and closes what it holds.
    async def call(data: bytes, context: Context) -> None:
        try:
            async with aclosing(handle(decode(data), caller_of(context, clock))) as responses:
                async for response in responses:
                    if not await _written(context, response):
                        break
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error)

    return grpc.unary_stream_rpc_method_handler(call, response_serializer=_encode)


async def _written(context: Context, response: Message) -> bool:
    """Write one answer. Returns False when the caller has gone away, which is no failure of ours."""
    try:
        await context.write(response)
    except Exception as error:  # noqa: BLE001  # grpc has no public name for it
        logger.debug("the caller went away: %s", error)
        return False
    return True


def _stream(method: MethodDescriptor, handle: Callable[..., Any], clock: Clock) -> "grpc.RpcMethodHandler[Any, Any]":
    decode = _decoder(method)

    async def requests_of(raw: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for data in raw:
            yield decode(data)

    async def call(raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Message]:
        try:
            async with aclosing(handle(requests_of(raw), caller_of(context, clock))) as responses:
                async for response in responses:
                    yield response
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error)

    return grpc.stream_stream_rpc_method_handler(call, response_serializer=_encode)


def _decoder(method: MethodDescriptor) -> Callable[[bytes], Message]:
    message_class = GetMessageClass(method.input_type)

    def decode(data: bytes) -> Message:
        # Here rather than as gRPC's deserializer, which would answer what it cannot read with a status of its own.
        try:
            return message_class.FromString(data)
        except DecodeError:
            name = method.input_type.full_name
            raise InvalidRequest.of([Violation("request", f"is not a {name} message")]) from None

    return decode


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


async def _abort(method: MethodDescriptor, context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, GatewayError):
        # A call may have run by then; whoever knows better says so in an error of its own.
        answer: GatewayError = InternalError(RunState.UNKNOWN if method.name in _CALLS else None)
        answer.__cause__ = error
    else:
        answer = error
    labels = {"call_id": answer.call_id, "session_id": answer.session_id}
    if isinstance(answer, InternalError):
        logger.error("%s failed: %s", method.full_name, answer.error_id, exc_info=answer.__cause__, extra=labels)
    elif row_of(answer).http >= _OUR_SIDE and not isinstance(answer, _TOLD_ONCE):
        logger.info("%s failed: %s", method.full_name, answer.message, extra=labels)
    if method.name not in _CALLS:
        answer.run_state = None
    elif answer.run_state is None:
        answer.run_state = RunState.NOT_STARTED
    try:
        status = status_of(answer)
    except Exception:
        # What is told of a session comes from its record, and records may hold anything.
        logger.exception("%s failed, and so did telling why", method.full_name, extra=labels)
        answer = InternalError(answer.run_state)
        status = status_of(answer)
    trailers = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(row_of(answer).status, status.message, trailers)
