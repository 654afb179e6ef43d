"""What the contract promises of every error, written down once more, apart from the gateway's own table."""

from collections.abc import Awaitable
from dataclasses import dataclass

import grpc
import pytest

from tests.scenarios.client import CallFailed

MAX_STATUS_BYTES = 4096


@dataclass(frozen=True)
class Promise:
    """Status, HTTP status and the keys of the metadata beside httpStatus."""

    status: grpc.StatusCode
    http: int
    keys: frozenset[str]


def _promise(status: grpc.StatusCode, http: int, *keys: str) -> Promise:
    return Promise(status, http, frozenset(keys))


PROMISES = {
    "SESSION_NOT_FOUND": _promise(grpc.StatusCode.NOT_FOUND, 404, "sessionId"),
    "SESSION_EXPIRED": _promise(grpc.StatusCode.FAILED_PRECONDITION, 410, "sessionId", "endedAt", "sessionTimeout"),
    "SESSION_ENDED": _promise(grpc.StatusCode.FAILED_PRECONDITION, 410, "sessionId", "endedAt", "endReason"),
    "WORKER_LEASED": _promise(grpc.StatusCode.ABORTED, 409, "workerId"),
    "APP_MISMATCH": _promise(grpc.StatusCode.INVALID_ARGUMENT, 400, "sessionId", "sessionApp", "requestedApp"),
    "VERSION_MISMATCH": _promise(
        grpc.StatusCode.INVALID_ARGUMENT, 400, "sessionId", "sessionApp", "sessionVersion", "requestedVersion"
    ),
    "INVALID_REQUEST": _promise(grpc.StatusCode.INVALID_ARGUMENT, 400, "fields"),
    "INVALID_INPUT": _promise(grpc.StatusCode.INVALID_ARGUMENT, 400, "app", "version", "function", "fields"),
    "APP_NOT_FOUND": _promise(grpc.StatusCode.NOT_FOUND, 404, "app"),
    "VERSION_NOT_FOUND": _promise(grpc.StatusCode.NOT_FOUND, 404, "app", "version"),
    "FUNCTION_NOT_FOUND": _promise(grpc.StatusCode.NOT_FOUND, 404, "app", "version", "function"),
    "WORKER_NOT_FOUND": _promise(grpc.StatusCode.NOT_FOUND, 404, "workerId"),
    "REQUEST_ID_REUSED": _promise(grpc.StatusCode.ALREADY_EXISTS, 409, "requestId"),
    "CALL_COUNT_MISMATCH": _promise(grpc.StatusCode.ABORTED, 409, "sessionId", "expectedCallCount"),
    "CALL_INTERRUPTED": _promise(grpc.StatusCode.ABORTED, 500, "sessionId"),
    "CALL_TIMED_OUT": _promise(grpc.StatusCode.DEADLINE_EXCEEDED, 504, "app", "version", "function", "limit"),
    "SESSION_BUSY": _promise(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "sessionId"),
    "QUOTA_EXCEEDED": _promise(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "quota", "limit"),
    "NO_WORKER_AVAILABLE": _promise(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "app", "version"),
    "APP_ERROR": _promise(grpc.StatusCode.UNKNOWN, 500, "app", "version", "function", "exceptionType"),
    "APP_START_FAILED": _promise(grpc.StatusCode.FAILED_PRECONDITION, 500, "app", "version", "exceptionType"),
    "WORKER_LOST": _promise(grpc.StatusCode.ABORTED, 500, "workerId", "exit"),
    "UNAUTHENTICATED": _promise(grpc.StatusCode.UNAUTHENTICATED, 401),
    "PERMISSION_DENIED": _promise(grpc.StatusCode.PERMISSION_DENIED, 403, "permission"),
    "INTERNAL": _promise(grpc.StatusCode.INTERNAL, 500, "errorId"),
    "GATEWAY_DRAINING": _promise(grpc.StatusCode.UNAVAILABLE, 503),
    "STORE_UNAVAILABLE": _promise(grpc.StatusCode.UNAVAILABLE, 503),
}

WITH_RETRY_INFO = {"SESSION_BUSY", "NO_WORKER_AVAILABLE", "QUOTA_EXCEEDED", "GATEWAY_DRAINING", "STORE_UNAVAILABLE"}
WITH_BAD_REQUEST = {"INVALID_REQUEST", "INVALID_INPUT"}


def check(refusal: CallFailed, code: str, run_state: str) -> None:
    """Assert everything that an error with this code says, whatever the case."""
    promise = PROMISES[code]
    assert (refusal.code, refusal.status, refusal.run_state) == (code, promise.status, run_state), refusal.message
    assert refusal.info.reason == code
    assert refusal.info.domain == "sessiongateway"
    assert set(refusal.info.metadata) == promise.keys | {"httpStatus"}
    assert all(refusal.info.metadata.values())
    assert refusal.info.metadata["httpStatus"] == str(promise.http)
    assert refusal.detail.http_status == promise.http
    assert refusal.details.code == promise.status.value[0]
    assert refusal.details.message == refusal.detail.message == refusal.message
    waiting_helps = refusal.info.metadata.get("quota") != "input_bytes"
    assert (refusal.retry_delay is not None) is (code in WITH_RETRY_INFO and waiting_helps)
    assert bool(refusal.bad_request) is (code in WITH_BAD_REQUEST)
    assert len(refusal.raw) <= MAX_STATUS_BYTES


async def refused(answer: Awaitable[object], code: str, run_state: str = "") -> CallFailed:
    """Await what must fail with this code, check all that its error says, and return it."""
    with pytest.raises(CallFailed) as caught:
        await answer
    check(caught.value, code, run_state)
    return caught.value


def fields_of(refusal: CallFailed) -> list[str]:
    """Return the fields that BadRequest names, in its order."""
    return [field for field, _ in refusal.bad_request]
