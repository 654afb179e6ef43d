"""From an error of the domain to the details of a gRPC status: google.rpc.ErrorInfo, our ErrorDetail, and where they
fit BadRequest and RetryInfo. All of them together stay under 4 KiB, whatever an app's exception says.
"""

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.errors import AppMismatch, GatewayError, InternalError, RunState, VersionMismatch, WorkerExit
from gateway.rpc.error_table import Row, row_of
from sessiongateway.v1 import errors_pb2 as pb

DOMAIN = "sessiongateway"

MAX_STATUS_BYTES = 4096
"""gRPC replaces a status whose trailers exceed 8 KiB by another one; half of that leaves room for the message, which
is sent a second time beside the details."""

MAX_MESSAGE = 512
"""Bytes of the status message, and of an exception's text."""

_MAX_VALUE = 256
_MAX_VIOLATIONS = 8
_MAX_VIOLATION = 160

_RUN_STATES = {
    RunState.NOT_STARTED: pb.RUN_STATE_NOT_STARTED,
    RunState.UNKNOWN: pb.RUN_STATE_UNKNOWN,
    RunState.COMPLETED: pb.RUN_STATE_COMPLETED,
}


def status_of(error: GatewayError) -> status_pb2.Status:
    """Return the whole status, details included, under MAX_STATUS_BYTES."""
    detail = detail_of(error)
    status = _status(error, detail, _MAX_VIOLATIONS)
    excess = status.ByteSize() - MAX_STATUS_BYTES
    if excess > 0 and detail.app_failure.traceback:
        # Its end is what tells; 8 bytes are for the mark of the cut.
        kept = max(0, len(detail.app_failure.traceback.encode()) - excess - 8)
        detail.app_failure.traceback = _end(detail.app_failure.traceback, kept)
    for shown in range(_MAX_VIOLATIONS, 0, -1):
        if status.ByteSize() <= MAX_STATUS_BYTES:
            break
        status = _status(error, detail, shown)
    return status


def detail_of(error: GatewayError) -> pb.ErrorDetail:
    """Return the typed detail."""
    row = row_of(error)
    detail = pb.ErrorDetail(
        code=pb.ErrorCode.Value(f"ERROR_CODE_{row.code}"),
        message=cut(error.message, MAX_MESSAGE),
        http_status=row.http,
        session_id=error.session_id,
        call_id=error.call_id,
        retry_after=None if error.retry_after is None else _duration(error.retry_after),
    )
    if error.run_state is not None:
        detail.run_state = _RUN_STATES[error.run_state]
    if error.end_reason:
        detail.end_reason = pb.EndReason.Value(f"END_REASON_{error.end_reason.upper()}")
    if error.failure is not None:
        detail.app_failure.type = cut(error.failure.type, _MAX_VALUE)
        detail.app_failure.message = cut(error.failure.message, MAX_MESSAGE)
        detail.app_failure.traceback = error.failure.traceback
    if error.worker_exit is not None:
        detail.worker_exit.CopyFrom(worker_exit(error.worker_exit))
    if isinstance(error, AppMismatch | VersionMismatch):
        detail.session_app.CopyFrom(pb.AppVersion(app=error.bound[0], version=error.bound[1]))
        detail.requested_app.CopyFrom(pb.AppVersion(app=error.requested[0], version=error.requested[1]))
    if isinstance(error, InternalError):
        detail.error_id = error.error_id
    return detail


def worker_exit(exit_: WorkerExit) -> pb.WorkerExit:
    """Return how a worker ended."""
    if exit_.signal is not None:
        return pb.WorkerExit(signal=exit_.signal)
    if exit_.exit_code is not None:
        return pb.WorkerExit(exit_code=exit_.exit_code)
    return pb.WorkerExit()


def cut(text: str, size: int) -> str:
    """Return the text, shortened to `size` bytes of UTF-8 with a mark where it was cut."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= size:
        return data.decode()
    return data[: size - 3].decode(errors="ignore") + "…"


def _end(text: str, size: int) -> str:
    return "…" + text.encode()[-size:].decode(errors="ignore") if size else ""


def _status(error: GatewayError, detail: pb.ErrorDetail, violations: int) -> status_pb2.Status:
    row = row_of(error)
    details: list[Message] = [_error_info(error, row), detail]
    if error.violations:
        details.append(_bad_request(error, violations))
    if error.retry_after is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after)))
    status = status_pb2.Status(code=row.status.value[0], message=detail.message)
    for message in details:
        packed = any_pb2.Any()
        packed.Pack(message)
        status.details.append(packed)
    return status


def _error_info(error: GatewayError, row: Row) -> error_details_pb2.ErrorInfo:
    metadata = {key: cut(value, _MAX_VALUE) for key, value in error.metadata.items()}
    return error_details_pb2.ErrorInfo(
        reason=row.code, domain=DOMAIN, metadata={**metadata, "httpStatus": str(row.http)}
    )


def _bad_request(error: GatewayError, at_most: int) -> error_details_pb2.BadRequest:
    shown = [
        error_details_pb2.BadRequest.FieldViolation(
            field=cut(violation.field, _MAX_VIOLATION), description=cut(violation.description, _MAX_VIOLATION)
        )
        for violation in error.violations[:at_most]
    ]
    rest = len(error.violations) - len(shown)
    if rest:
        shown[-1] = error_details_pb2.BadRequest.FieldViolation(
            field=shown[-1].field, description=f"{shown[-1].description} (and {rest} more)"
        )
    return error_details_pb2.BadRequest(field_violations=shown)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
