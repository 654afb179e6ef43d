"""A run over the generated stub alone, and what its status says."""

from base64 import b64decode, b64encode
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from sessiongateway.v1 import errors_pb2, sessions_pb2, sessions_pb2_grpc


class RawError(Exception):
    """A status, read without the client's help."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields["message"])
        self.fields = fields


async def raw_run(address: str, api_key: str | None, request: str) -> dict[str, Any]:
    """Send a RunRequest given in base64. Raises RawError."""
    metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = sessions_pb2_grpc.SessionServiceStub(channel)
        try:
            response = await stub.Run(
                sessions_pb2.RunRequest.FromString(b64decode(request)), metadata=metadata, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            raise RawError(_fields(error)) from None
    return {"response": b64encode(response.SerializeToString()).decode()}


def _fields(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "code": error.code().name,
        "grpc_status": error.code().name,
        "message": error.details() or "",
        "class": type(error).__name__,
    }
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for packed in status_pb2.Status.FromString(value).details:
                fields |= _read(packed)
    return fields


def _read(packed: Any) -> dict[str, Any]:
    info = error_details_pb2.ErrorInfo()
    detail = errors_pb2.ErrorDetail()
    retry = error_details_pb2.RetryInfo()
    request = error_details_pb2.BadRequest()
    if packed.Unpack(info):
        return {"code": info.reason, "metadata": dict(info.metadata)}
    if packed.Unpack(detail):
        states = errors_pb2.RunState.Name(detail.run_state).removeprefix("RUN_STATE_").lower()
        return {
            "http_status": detail.http_status,
            "run_state": states if detail.run_state else None,
            "session_id": detail.session_id or None,
            "call_id": detail.call_id or None,
        }
    if packed.Unpack(retry):
        return {"retry_after": retry.retry_delay.ToTimedelta().total_seconds()}
    if packed.Unpack(request):
        return {"field_violations": [[each.field, each.description] for each in request.field_violations]}
    return {}
