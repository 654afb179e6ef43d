"""From a gRPC status to an exception: the only place that does it."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from sessiongateway._convert import end_reason, enum_word, seconds, worker_exit
from sessiongateway._exceptions import BY_CODE, SessionGatewayError
from sessiongateway.v1 import errors_pb2

_DOMAIN = "sessiongateway"
_STATUS_KEY = "grpc-status-details-bin"

# After these, the same stream opened again would fail in the same way.
FINAL_STATUSES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def from_rpc_error(error: grpc.aio.AioRpcError, *, is_run: bool) -> SessionGatewayError:
    """Return what a failed RPC means; `is_run` because only a run has a run state."""
    found = _Details(error)
    if found.is_from_gateway:
        return _from_details(found, error)
    run_state = "unknown" if is_run else None
    if error.code() is grpc.StatusCode.CANCELLED:
        # Nobody here cancelled it: a server that is stopped answers so what it had not yet looked at.
        return transport_error("UNAVAILABLE", "the server went away without an answer", run_state=run_state)
    return transport_error(error.code().name, error.details() or "", run_state=run_state)


def transport_error(code: str, message: str, *, run_state: str | None) -> SessionGatewayError:
    """Return the exception of a status that no gateway made."""
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return BY_CODE[code](message, run_state=run_state)
    return SessionGatewayError(message, code=code, run_state=run_state)


def from_detail(detail: errors_pb2.ErrorDetail) -> SessionGatewayError:
    """Return what an error in the middle of a keepalive stream means."""
    return _build(_code_name(detail.code, ""), detail.message, detail, {})


class _Details:
    """The parts of a status that this client understands; each may be missing or broken."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.info = error_details_pb2.ErrorInfo()
        self.detail: errors_pb2.ErrorDetail | None = None
        self.retry = error_details_pb2.RetryInfo()
        self.request = error_details_pb2.BadRequest()
        for key, value in error.trailing_metadata() or ():
            if key == _STATUS_KEY and isinstance(value, bytes):
                self._read(value)

    @property
    def is_from_gateway(self) -> bool:
        return self.detail is not None or (self.info.domain == _DOMAIN and bool(self.info.reason))

    def _read(self, value: bytes) -> None:
        detail = errors_pb2.ErrorDetail()
        try:
            for packed in status_pb2.Status.FromString(value).details:
                if packed.Unpack(detail):
                    self.detail = detail
                else:
                    packed.Unpack(self.info) or packed.Unpack(self.retry) or packed.Unpack(self.request)
        except DecodeError:
            # A proxy's garbage must not hide the status itself.
            return


def _from_details(found: _Details, error: grpc.aio.AioRpcError) -> SessionGatewayError:
    detail = found.detail or errors_pb2.ErrorDetail()
    more: dict[str, Any] = {"metadata": dict(found.info.metadata)}
    if not detail.http_status and found.info.metadata.get("httpStatus", "").isdecimal():
        more["http_status"] = int(found.info.metadata["httpStatus"])
    if found.request.field_violations:
        more["field_violations"] = [(each.field, each.description) for each in found.request.field_violations]
    if found.retry.HasField("retry_delay"):
        more["retry_after"] = seconds(found.retry.retry_delay)
    code = _code_name(detail.code, found.info.reason)
    return _build(code, error.details() or detail.message, found.detail, more)


def _code_name(number: int, reason: str) -> str:
    if number in errors_pb2.ErrorCode.values() and number:
        return str(errors_pb2.ErrorCode.Name(number)).removeprefix("ERROR_CODE_")  # type: ignore[arg-type]
    return reason or (f"UNKNOWN_{number}" if number else "UNKNOWN")


def _build(code: str, message: str, detail: errors_pb2.ErrorDetail | None, more: dict[str, Any]) -> SessionGatewayError:
    cls = BY_CODE.get(code, SessionGatewayError)
    fields: dict[str, Any] = {"code": code, "details": detail}
    if detail is not None:
        fields |= _fields_of(detail)
        if code in ("APP_ERROR", "APP_START_FAILED"):
            failure = detail.app_failure
            fields |= {"type": failure.type, "app_message": failure.message, "traceback": failure.traceback}
        if code == "INTERNAL":
            fields["error_id"] = detail.error_id
    return cls(message, **(fields | more))


def _fields_of(detail: errors_pb2.ErrorDetail) -> dict[str, Any]:
    return {
        "session_id": detail.session_id or None,
        "run_state": enum_word(errors_pb2.RunState, "RUN_STATE_", detail.run_state) if detail.run_state else None,
        "retry_after": seconds(detail.retry_after) if detail.HasField("retry_after") else None,
        "http_status": detail.http_status or None,
        "call_id": detail.call_id or None,
        "end_reason": end_reason(detail.end_reason),
        "worker_exit": worker_exit(detail.worker_exit) if detail.HasField("worker_exit") else None,
        "session_app": _pinned(detail.session_app) if detail.HasField("session_app") else None,
        "requested_app": _pinned(detail.requested_app) if detail.HasField("requested_app") else None,
    }


def _pinned(app: errors_pb2.AppVersion) -> str:
    return f"{app.app}@{app.version}" if app.version else app.app
