"""Who calls, and until when they wait."""

import hashlib
from typing import Any

import grpc

from gateway.clock import Clock
from gateway.errors import Unauthenticated
from gateway.sessions.requests import Caller

ANONYMOUS = "anonymous"
_SCHEME = "bearer "

_WIRE_ROUNDING = 1.01
"""gRPC sends a deadline in few digits, rounded up by at most one percent; the caller's own clock gives up on time.
Measured with grpcio 1.83: 20 s arrive as 20.1 s, 300 s as 301 s."""


def caller_of(context: "grpc.aio.ServicerContext[Any, Any]", clock: Clock) -> Caller:
    """Return the caller of an RPC. Raises Unauthenticated when the credentials cannot be read.

    Nobody is turned away for an unknown key yet, but sessions belong to the key that they were made with: another
    key, or none, does not see them. Only a hash of the key goes further than this.
    """
    remaining: float | None = context.time_remaining()  # the stubs do not know that a caller may wait for ever
    deadline = None if remaining is None else clock.now().monotonic + remaining / _WIRE_ROUNDING
    return Caller(_principal(context), deadline)


def _principal(context: "grpc.aio.ServicerContext[Any, Any]") -> str:
    metadata = context.invocation_metadata()
    values = [value for key, value in metadata if key == "authorization"] if metadata else ()
    if not values:
        return ANONYMOUS
    value = values[0]
    if len(values) > 1 or not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated('the authorization metadata must be one "Bearer KEY"')
    key = value[len(_SCHEME) :].strip()
    if not key or any(letter.isspace() for letter in key):
        raise Unauthenticated("the bearer key is empty, or has spaces in it")
    return "key:" + hashlib.sha256(key.encode()).hexdigest()[:32]
