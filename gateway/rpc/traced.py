"""The calls of a gateway that traces them: each RPC that runs a function is a span, whatever becomes of it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import grpc
from google.protobuf.descriptor import MethodDescriptor

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.rpc.error_table import row_of
from gateway.rpc.services import SessionService
from gateway.sessions.manager import SessionManager
from gateway.sessions.requests import Caller
from gateway.trace import TraceContext
from sessiongateway.v1 import sessions_pb2 as pb

_METHODS = pb.DESCRIPTOR.services_by_name["SessionService"].methods_by_name
_INTERNAL = grpc.StatusCode.INTERNAL
_CANCELLED = grpc.StatusCode.CANCELLED


class CallSpan(TraceContext, ABC):
    """The span of one RPC, and as a trace context what continues it. Exactly one of the two ends it."""

    __slots__ = ()

    @abstractmethod
    def answered(self, answer: pb.RunResponse) -> None:
        """End it with the answer of the call."""

    @abstractmethod
    def failed(self, status: grpc.StatusCode, code: str, *, call_id: str = "", session_id: str = "") -> None:
        """End it with an error: gRPC's status, and the contract's code, empty for one that the gateway did not give."""


class Tracer(Protocol):
    """Begins spans."""

    def begin(self, method: str, request: pb.RunRequest, parent: TraceContext | None) -> CallSpan:
        """Begin the span of an RPC whose full name is `method`, such as `package.Service/Method`."""


class TracedSessionService(SessionService):
    """`SessionService` with a span around each call."""

    def __init__(self, manager: SessionManager, clock: Clock, max_input_bytes: int, tracer: Tracer) -> None:
        super().__init__(manager, clock, max_input_bytes)
        self._tracer = tracer

    async def Run(self, request: pb.RunRequest, caller: Caller) -> pb.RunResponse:
        span = self._tracer.begin(_RUN, request, caller.trace)
        try:
            answer = await super().Run(request, replace(caller, trace=span))
        except BaseException as error:
            _end(span, error)
            raise
        span.answered(answer)
        return answer

    async def RunStream(self, request: pb.RunRequest, caller: Caller) -> AsyncGenerator[pb.RunStreamResponse, None]:
        span = self._tracer.begin(_RUN_STREAM, request, caller.trace)
        answer = pb.RunResponse()
        try:
            async with aclosing(super().RunStream(request, replace(caller, trace=span))) as parts:
                async for part in parts:
                    if part.WhichOneof("part") == "result":
                        answer = part.result
                    yield part
        except BaseException as error:
            _end(span, error)
            raise
        span.answered(answer)


def _end(span: CallSpan, error: BaseException) -> None:
    if isinstance(error, GatewayError):
        row = row_of(error)
        span.failed(row.status, row.code, call_id=error.call_id, session_id=error.session_id)
    elif isinstance(error, asyncio.CancelledError | GeneratorExit):
        span.failed(_CANCELLED, "")  # the caller has left, or its deadline has passed
    else:
        span.failed(_INTERNAL, _INTERNAL.name)


def _full_name(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


_RUN, _RUN_STREAM = _full_name(_METHODS["Run"]), _full_name(_METHODS["RunStream"])
