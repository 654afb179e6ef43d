"""Around every handler: bytes to message, error to status. Unary and streaming alike, and nowhere else.

The handlers are wrapped once, when the server is made. An interceptor would be looked up and run again for each call
(docs/adr/0005-errors-at-the-edge.md).
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from gateway.rpc.callers import Callers, Context
from gateway.rpc.peers.exchange import Exchange
from gateway.rpc.raw import Failures, decoder

logger = logging.getLogger("gateway.rpc")

DETAILS_KEY = "grpc-status-details-bin"


def generic_handler(
    service: ServiceDescriptor,
    servicer: object,
    callers: Callers,
    failures: Failures,
    exchange: Exchange | None = None,
) -> grpc.GenericRpcHandler:
    """Return the handler of a service: each method of its descriptor is the method of the same name of the servicer.

    A unary method is `async (request, caller) -> response`; one whose answer is a stream is an async generator over
    `(request, caller)`, and one that streams both ways over `(requests, caller)`. With an `exchange` requests go by
    that, to the process that each is for.
    """
    handlers = {}
    for method in service.methods:
        if exchange is not None:
            handlers[method.name] = _exchanged(method, exchange, callers, failures)
            continue
        wrap = _unary if not method.server_streaming else _stream if method.client_streaming else _server_stream
        handlers[method.name] = wrap(method, getattr(servicer, method.name), callers, failures)
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _unary(
    method: MethodDescriptor, handle: Callable[..., Any], callers: Callers, failures: Failures
) -> "grpc.RpcMethodHandler[Any, Any]":
    name, decode = method.name, decoder(method)

    async def call(data: bytes, context: Context) -> Message:
        try:
            caller = callers.of(context, name)  # first: who may not call is told nothing of the request
            response: Message = await handle(decode(data), caller)
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error, failures)
        return response

    return grpc.unary_unary_rpc_method_handler(call, response_serializer=_encode)


def _server_stream(
    method: MethodDescriptor, handle: Callable[..., Any], callers: Callers, failures: Failures
) -> "grpc.RpcMethodHandler[Any, Any]":
    name, decode = method.name, decoder(method)

    # A coroutine that writes rather than a generator that yields: when the caller goes away while an answer is being
    # written, this frame is cancelled at once and closes what it holds.
    async def call(data: bytes, context: Context) -> None:
        try:
            caller = callers.of(context, name)
            async with callers.streaming(context, name), aclosing(handle(decode(data), caller)) as responses:
                async for response in responses:
                    if not await _written(context, response):
                        break
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error, failures)

    return grpc.unary_stream_rpc_method_handler(call, response_serializer=_encode)


async def _written(context: Context, response: Message | bytes) -> bool:
    """Write one answer. Returns False when the caller has gone away, which is no failure of ours."""
    try:
        await context.write(response)
    except Exception as error:  # noqa: BLE001  # grpc has no public name for it
        logger.debug("the caller went away: %s", error)
        return False
    return True


def _stream(
    method: MethodDescriptor, handle: Callable[..., Any], callers: Callers, failures: Failures
) -> "grpc.RpcMethodHandler[Any, Any]":
    name, decode = method.name, decoder(method)

    async def requests_of(raw: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for data in raw:
            yield decode(data)

    async def call(raw: AsyncIterator[bytes], context: Context) -> None:
        try:
            caller = callers.of(context, name)
            async with callers.streaming(context, name), aclosing(handle(requests_of(raw), caller)) as responses:
                async for response in responses:
                    if not await _written(context, response):
                        break
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error, failures)

    return grpc.stream_stream_rpc_method_handler(call, response_serializer=_encode)


def _exchanged(
    method: MethodDescriptor, exchange: Exchange, callers: Callers, failures: Failures
) -> "grpc.RpcMethodHandler[Any, Any]":
    """Return the handler of a method that any process may answer: bytes in, bytes out."""
    name = method.name

    async def unary(data: bytes, context: Context) -> bytes:
        try:
            return await exchange.unary(name, data, callers.of(context, name))
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error, failures)

    async def stream(data: bytes | AsyncIterator[bytes], context: Context) -> None:
        try:
            caller = callers.of(context, name)
            responses = (
                exchange.stream(name, data, caller) if isinstance(data, bytes) else exchange.bidi(name, data, caller)
            )
            async with callers.streaming(context, name), aclosing(responses):
                async for response in responses:
                    if not await _written(context, response):
                        break
        except Exception as error:  # noqa: BLE001  # the one place where any error becomes a status
            await _abort(method, context, error, failures)

    if not method.server_streaming:
        return grpc.unary_unary_rpc_method_handler(unary, response_serializer=bytes)
    if not method.client_streaming:
        return grpc.unary_stream_rpc_method_handler(stream, response_serializer=bytes)
    return grpc.stream_stream_rpc_method_handler(stream, response_serializer=bytes)


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


async def _abort(method: MethodDescriptor, context: Context, error: Exception, failures: Failures) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    failure = failures.of(method, error)
    await context.abort(failure.status, failure.message, ((DETAILS_KEY, failure.details),))
