"""One row for each error of the domain: its code, its gRPC and HTTP status, and the metadata that it always has.

The comments of errors.proto say the same to users; a repository test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from gateway import errors


@dataclass(frozen=True, slots=True)
class Row:
    """How one class of errors shows to a caller."""

    code: str
    """Name in the contract, such as SESSION_EXPIRED; the enum value has the prefix ERROR_CODE_."""
    status: grpc.StatusCode
    http: int
    metadata: tuple[str, ...] = ()
    """Keys of ErrorInfo.metadata that are always there, besides httpStatus."""


ROWS: Mapping[type[errors.GatewayError], Row] = {
    errors.SessionNotFound: Row("SESSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND, 404, ("sessionId",)),
    errors.SessionExpired: Row(
        "SESSION_EXPIRED", grpc.StatusCode.FAILED_PRECONDITION, 410, ("sessionId", "endedAt", "sessionTimeout")
    ),
    errors.SessionEnded: Row(
        "SESSION_ENDED", grpc.StatusCode.FAILED_PRECONDITION, 410, ("sessionId", "endReason", "endedAt")
    ),
    errors.WorkerLeased: Row("WORKER_LEASED", grpc.StatusCode.ABORTED, 409, ("workerId",)),
    errors.AppMismatch: Row(
        "APP_MISMATCH", grpc.StatusCode.INVALID_ARGUMENT, 400, ("sessionId", "sessionApp", "requestedApp")
    ),
    errors.VersionMismatch: Row(
        "VERSION_MISMATCH",
        grpc.StatusCode.INVALID_ARGUMENT,
        400,
        ("sessionId", "sessionApp", "sessionVersion", "requestedVersion"),
    ),
    errors.InvalidRequest: Row("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT, 400, ("fields",)),
    errors.InvalidInput: Row(
        "INVALID_INPUT", grpc.StatusCode.INVALID_ARGUMENT, 400, ("app", "version", "function", "fields")
    ),
    errors.AppNotFound: Row("APP_NOT_FOUND", grpc.StatusCode.NOT_FOUND, 404, ("app",)),
    errors.VersionNotFound: Row("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND, 404, ("app", "version")),
    errors.FunctionNotFound: Row("FUNCTION_NOT_FOUND", grpc.StatusCode.NOT_FOUND, 404, ("app", "version", "function")),
    errors.WorkerNotFound: Row("WORKER_NOT_FOUND", grpc.StatusCode.NOT_FOUND, 404, ("workerId",)),
    errors.RequestIdReused: Row("REQUEST_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS, 409, ("requestId",)),
    errors.SessionBusy: Row("SESSION_BUSY", grpc.StatusCode.RESOURCE_EXHAUSTED, 429, ("sessionId",)),
    errors.NoWorkerAvailable: Row("NO_WORKER_AVAILABLE", grpc.StatusCode.RESOURCE_EXHAUSTED, 429, ("app", "version")),
    errors.CallCountMismatch: Row(
        "CALL_COUNT_MISMATCH", grpc.StatusCode.ABORTED, 409, ("sessionId", "expectedCallCount")
    ),
    errors.CallInterrupted: Row("CALL_INTERRUPTED", grpc.StatusCode.ABORTED, 500, ("sessionId",)),
    errors.QuotaExceeded: Row("QUOTA_EXCEEDED", grpc.StatusCode.RESOURCE_EXHAUSTED, 429, ("quota", "limit")),
    errors.AppError: Row("APP_ERROR", grpc.StatusCode.UNKNOWN, 500, ("app", "version", "function", "exceptionType")),
    errors.AppStartFailed: Row(
        "APP_START_FAILED", grpc.StatusCode.FAILED_PRECONDITION, 500, ("app", "version", "exceptionType")
    ),
    errors.WorkerLost: Row("WORKER_LOST", grpc.StatusCode.ABORTED, 500, ("workerId", "exit")),
    errors.Unauthenticated: Row("UNAUTHENTICATED", grpc.StatusCode.UNAUTHENTICATED, 401),
    errors.PermissionDenied: Row("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED, 403, ("permission",)),
    errors.GatewayDraining: Row("GATEWAY_DRAINING", grpc.StatusCode.UNAVAILABLE, 503),
    errors.StoreUnavailable: Row("STORE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE, 503),
    errors.CallTimedOut: Row(
        "CALL_TIMED_OUT", grpc.StatusCode.DEADLINE_EXCEEDED, 504, ("app", "version", "function", "limit")
    ),
    errors.InternalError: Row("INTERNAL", grpc.StatusCode.INTERNAL, 500, ("errorId",)),
}


def row_of(error: errors.GatewayError) -> Row:
    """Return the row of an error, also of one whose class is a subclass of the row's."""
    return row_of_class(type(error))


def row_of_class(error: type[errors.GatewayError]) -> Row:
    """Return the row of the errors of a class."""
    return next(ROWS[kind] for kind in error.__mro__ if kind in ROWS)
