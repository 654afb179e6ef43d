"""A client on bare generated stubs, which shows what the gateway says and adds nothing to it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from sessiongateway.v1 import apps_pb2_grpc, errors_pb2, sessions_pb2 as pb, sessions_pb2_grpc

MessageT = TypeVar("MessageT", bound=Message)

DETAILS_KEY = "grpc-status-details-bin"
MAX_ANSWER = 16 * 1024 * 1024


class GatewayRefusal(Exception):
    """An error of the gateway with all its details, each decoded; `detail` is the typed one."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.status = error.code()
        self.message = error.details() or ""
        self.raw = next((value for key, value in error.trailing_metadata() or () if key == DETAILS_KEY), b"")
        self.rpc_status = status_pb2.Status.FromString(self.raw)
        self.detail = self._unpack(errors_pb2.ErrorDetail) or errors_pb2.ErrorDetail()
        self.info = self._unpack(error_details_pb2.ErrorInfo) or error_details_pb2.ErrorInfo()
        self.bad_request = self._unpack(error_details_pb2.BadRequest)
        self.retry_info = self._unpack(error_details_pb2.RetryInfo)

    @property
    def code(self) -> str:
        """Name of the code, such as "SESSION_EXPIRED"."""
        return errors_pb2.ErrorCode.Name(self.detail.code).removeprefix("ERROR_CODE_")

    @property
    def run_state(self) -> str:
        """"NOT_STARTED", "UNKNOWN", "COMPLETED", or "UNSPECIFIED" for what was no Run."""
        return errors_pb2.RunState.Name(self.detail.run_state).removeprefix("RUN_STATE_")

    @property
    def end_reason(self) -> str:
        """Name of the session's end reason, "UNSPECIFIED" while it is active."""
        return errors_pb2.EndReason.Name(self.detail.end_reason).removeprefix("END_REASON_")

    @property
    def retry_delay(self) -> float | None:
        """Seconds of RetryInfo; None without one."""
        if self.retry_info is None:
            return None
        return float(self.retry_info.retry_delay.ToTimedelta().total_seconds())

    @property
    def fields(self) -> list[str]:
        """The fields that BadRequest names, in its order."""
        return [violation.field for violation in self.bad_request.field_violations] if self.bad_request else []

    def _unpack(self, kind: type[MessageT]) -> MessageT | None:
        for packed in self.rpc_status.details:
            message = kind()
            if packed.Unpack(message):
                return message
        return None


class Client:
    """One channel to a gateway. Every error of a call is raised as GatewayRefusal."""

    def __init__(self, channel: grpc.aio.Channel, api_key: str | None = None) -> None:
        self.channel = channel
        self.metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self.sessions: sessions_pb2_grpc.SessionServiceAsyncStub = sessions_pb2_grpc.SessionServiceStub(channel)
        self.apps: apps_pb2_grpc.AppServiceAsyncStub = apps_pb2_grpc.AppServiceStub(channel)

    async def run(
        self, app: str, input: Mapping[str, Any] | None = None, *, timeout: float | None = None, **fields: Any
    ) -> pb.RunResponse:
        """Run with the input as JSON text. `fields` are further fields of the request."""
        if input is not None:
            fields["input_json"] = json.dumps(input).encode()
        return await self.send("Run", pb.RunRequest(app=app, **fields), timeout=timeout)

    async def output(self, app: str, input: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """Run as `run` does, and return the decoded output."""
        return output_of(await self.run(app, {} if input is None else input, **fields))

    async def open(self, app: str, input: Mapping[str, Any] | None = None, **fields: Any) -> pb.Session:
        """Open a session with a first call, and return it."""
        return (await self.run(app, {} if input is None else input, session="new", **fields)).session

    async def get(self, session_id: str) -> pb.Session:
        """GetSession."""
        return (await self.send("GetSession", pb.GetSessionRequest(session_id=session_id))).session

    async def list(self, **fields: Any) -> pb.ListSessionsResponse:
        """ListSessions, one page."""
        return await self.send("ListSessions", pb.ListSessionsRequest(**fields))

    async def keepalive(self, session_id: str) -> pb.Session:
        """Keepalive."""
        return (await self.send("Keepalive", pb.KeepaliveRequest(session_id=session_id))).session

    async def end(self, session_id: str) -> pb.Session:
        """EndSession."""
        return (await self.send("EndSession", pb.EndSessionRequest(session_id=session_id))).session

    def stream(self) -> "grpc.aio.StreamStreamCall[pb.StreamKeepaliveRequest, pb.StreamKeepaliveResponse]":
        """StreamKeepalive, to be written to and read from."""
        return self.sessions.StreamKeepalive(metadata=self.metadata)

    async def send(self, method: str, request: Message, *, timeout: float | None = None) -> Any:
        """Call a unary method of SessionService."""
        try:
            return await getattr(self.sessions, method)(request, timeout=timeout, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            raise GatewayRefusal(error) from None


@asynccontextmanager
async def connected(address: str, api_key: str | None = None) -> AsyncIterator[Client]:
    """Connect to a gateway, and close the connection in the end."""
    options = [("grpc.max_receive_message_length", MAX_ANSWER)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield Client(channel, api_key)


def output_of(response: pb.RunResponse) -> dict[str, Any]:
    """Return the decoded output of a Run that was sent as JSON text."""
    output: dict[str, Any] = json.loads(response.output_json)
    return output
