"""Handlers as functions from bytes to bytes, whichever way the bytes come; and what is told of an error."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.errors import (
    GatewayDraining,
    GatewayError,
    InternalError,
    InvalidRequest,
    RunState,
    StoreUnavailable,
    Violation,
)
from gateway.rpc.details import status_of
from gateway.rpc.error_table import row_of
from gateway.sessions.requests import Caller

logger = logging.getLogger("gateway.rpc")

CALLS = frozenset({"Run", "RunStream"})
"""Methods whose errors say whether a call ran."""

_OUR_SIDE = 500
"""From this HTTP status on it was not the caller's doing, and whoever runs the gateway may want to find the call."""

_TOLD_ONCE = (GatewayDraining, StoreUnavailable)
"""What the log says when it begins, and not for every caller."""

STATUSES: Mapping[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}


class Failure(Exception):
    """What a caller is told instead of an answer, ready for the wire."""

    def __init__(self, status: grpc.StatusCode, message: str, details: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details
        """A serialized google.rpc.Status."""


class Failures:
    """Makes what callers are told of errors, and counts it."""

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str]] = Counter()
        """How often each method has answered with each code of the contract."""

    def of(self, method: MethodDescriptor, error: Exception) -> Failure:
        """Return what is told of an error, and log it if it was our doing. A Failure is told as it is."""
        if isinstance(error, Failure):
            return error
        code, failure = _failure_of(method, error)
        self.told[method.name, code] += 1
        return failure


class Methods:
    """The methods of some services, by name. What they raise is a Failure."""

    def __init__(self, services: Sequence[tuple[ServiceDescriptor, object]], failures: Failures) -> None:
        """Each method of a descriptor is the method of the same name of the object beside it."""
        self.failures = failures
        self.methods: dict[str, MethodDescriptor] = {}
        self._handlers: dict[str, tuple[Callable[..., Any], Callable[[bytes], Message]]] = {}
        for service, servicer in services:
            for method in service.methods:
                self.methods[method.name] = method
                self._handlers[method.name] = getattr(servicer, method.name), decoder(method)

    async def unary(self, name: str, data: bytes, caller: Caller) -> bytes:
        """Answer a request. Raises Failure."""
        handle, decode = self._handlers[name]
        try:
            response: Message = await handle(decode(data), caller)
            return response.SerializeToString()
        except Exception as error:  # noqa: BLE001  # as at the edge: any error becomes a status
            raise self.failures.of(self.methods[name], error) from None

    async def stream(self, name: str, data: bytes, caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer a request with a stream. Raises Failure."""
        handle, decode = self._handlers[name]
        try:
            async with aclosing(handle(decode(data), caller)) as responses:
                async for response in responses:
                    yield response.SerializeToString()
        except Exception as error:  # noqa: BLE001  # as at the edge: any error becomes a status
            raise self.failures.of(self.methods[name], error) from None

    async def bidi(self, name: str, requests: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes, None]:
        """Answer a stream of requests with a stream. Raises Failure."""
        handle, decode = self._handlers[name]

        async def decoded() -> AsyncIterator[Message]:
            async for data in requests:
                yield decode(data)

        try:
            async with aclosing(handle(decoded(), caller)) as responses:
                async for response in responses:
                    yield response.SerializeToString()
        except Exception as error:  # noqa: BLE001  # as at the edge: any error becomes a status
            raise self.failures.of(self.methods[name], error) from None


def decoder(method: MethodDescriptor) -> Callable[[bytes], Message]:
    """Return what reads a method's requests. It raises InvalidRequest."""
    message_class = GetMessageClass(method.input_type)

    def decode(data: bytes) -> Message:
        # Here rather than as gRPC's deserializer, which would answer what it cannot read with a status of its own.
        try:
            return message_class.FromString(data)
        except DecodeError:
            name = method.input_type.full_name
            raise InvalidRequest.of([Violation("request", f"is not a {name} message")]) from None

    return decode


def _failure_of(method: MethodDescriptor, error: Exception) -> tuple[str, Failure]:
    if not isinstance(error, GatewayError):
        # A call may have run by then; whoever knows better says so in an error of its own.
        answer: GatewayError = InternalError(RunState.UNKNOWN if method.name in CALLS else None)
        answer.__cause__ = error
    else:
        answer = error
    labels = {"call_id": answer.call_id, "session_id": answer.session_id, "trace_id": answer.trace_id}
    if isinstance(answer, InternalError):
        logger.error("%s failed: %s", method.full_name, answer.error_id, exc_info=answer.__cause__, extra=labels)
    elif row_of(answer).http >= _OUR_SIDE and not isinstance(answer, _TOLD_ONCE):
        logger.info("%s failed: %s", method.full_name, answer.message, extra=labels)
    if method.name not in CALLS:
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
    row = row_of(answer)
    return row.code, Failure(row.status, status.message, status.SerializeToString())
