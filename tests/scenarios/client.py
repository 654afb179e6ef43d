"""A small client on the bare generated stubs, whose errors are decoded into one object."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from sessiongateway.v1 import apps_pb2_grpc, errors_pb2, sessions_pb2_grpc
from sessiongateway.v1 import sessions_pb2 as pb

DEADLINE = 20.0
"""Seconds after which a call of a test has failed, whatever it waits for."""


class CallFailed(Exception):
    """An error of the gateway with all its details.

    `code` is ErrorInfo.reason and `run_state` the enum's name without its prefix ("" when there is none).
    `bad_request` has (field, description) pairs, `retry_delay` seconds or None.
    """

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.status = error.code()
        self.message = error.details() or ""
        self.metadata = dict(error.trailing_metadata() or ())
        self.raw = self.metadata.get("grpc-status-details-bin", b"")
        self.details = status_pb2.Status.FromString(self.raw)
        self.detail = self._unpacked(errors_pb2.ErrorDetail) or errors_pb2.ErrorDetail()
        self.info = self._unpacked(error_details_pb2.ErrorInfo) or error_details_pb2.ErrorInfo()
        self.code: str = self.info.reason
        self.run_state = _short(errors_pb2.RunState.Name(self.detail.run_state), "RUN_STATE_")
        self.end_reason = _short(errors_pb2.EndReason.Name(self.detail.end_reason), "END_REASON_")
        bad_request = self._unpacked(error_details_pb2.BadRequest)
        self.bad_request = [(v.field, v.description) for v in bad_request.field_violations] if bad_request else []
        retry = self._unpacked(error_details_pb2.RetryInfo)
        self.retry_delay: float | None = retry.retry_delay.ToMilliseconds() / 1000 if retry else None
        super().__init__(f"{self.status.name} {self.code}: {self.message}")

    def _unpacked(self, kind: Any) -> Any:
        found = [kind.FromString(packed.value) for packed in self.details.details if packed.Is(kind.DESCRIPTOR)]
        assert len(found) <= 1, f"{kind.DESCRIPTOR.full_name} is there twice"
        return found[0] if found else None


@dataclass(frozen=True)
class Answer:
    """The answer of a call, its output as a dict."""

    response: pb.RunResponse

    @property
    def output(self) -> dict[str, Any]:
        return dict(json.loads(self.response.output_json))

    @property
    def session(self) -> pb.Session:
        return self.response.session

    @property
    def id(self) -> str:
        """The session's id, "" for a plain call."""
        return self.response.session_id


class KeepaliveStream:
    """One open StreamKeepalive."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, *session_ids: str, batch: bool = False) -> None:
        await self._call.write(pb.StreamKeepaliveRequest(session_ids=session_ids, batch=batch))

    async def receive(self) -> pb.StreamKeepaliveResponse:
        """Return the next message. Raises CallFailed, and EOFError at the end of the stream."""
        async with asyncio.timeout(DEADLINE):
            message = await _decoded(self._call.read())
        if message is grpc.aio.EOF:
            raise EOFError
        assert isinstance(message, pb.StreamKeepaliveResponse)
        return message

    async def renew(self, *session_ids: str) -> Sequence[pb.StreamKeepaliveResponse]:
        """Send ids in one message and return as many answers."""
        await self.send(*session_ids)
        return [await self.receive() for _ in session_ids]

    async def done(self) -> None:
        """Close this side."""
        await self._call.done_writing()


class RunStream:
    """One open RunStream."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def receive(self) -> dict[str, Any] | Answer:
        """Return the next partial output, or the answer. Raises CallFailed, and EOFError at the end of the stream."""
        async with asyncio.timeout(DEADLINE):
            message = await _decoded(self._call.read())
        if message is grpc.aio.EOF:
            raise EOFError
        if message.WhichOneof("part") == "result":
            return Answer(message.result)
        return dict(json.loads(message.partial_json))

    async def rest(self) -> list[dict[str, Any] | Answer]:
        """Return all that is still to come. Raises CallFailed."""
        parts = []
        while True:
            try:
                parts.append(await self.receive())
            except EOFError:
                return parts

    async def result(self) -> Answer:
        """Read to the end and return the answer, the last part of all."""
        *partials, answer = await self.rest()
        assert not any(isinstance(part, Answer) for part in partials)
        assert isinstance(answer, Answer)
        return answer

    def cancel(self) -> None:
        self._call.cancel()


class Watch:
    """One open WatchSessions."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def receive(self) -> pb.WatchSessionsResponse:
        """Return the next message. Raises CallFailed, and EOFError at the end of the stream."""
        async with asyncio.timeout(DEADLINE):
            message = await _decoded(self._call.read())
        if message is grpc.aio.EOF:
            raise EOFError
        assert isinstance(message, pb.WatchSessionsResponse)
        return message

    async def events(self, count: int) -> list[tuple[str, str]]:
        """Return the next events as (name, session id), (WATCHING, "") among them."""
        return [told(await self.receive()) for _ in range(count)]


def told(message: pb.WatchSessionsResponse) -> tuple[str, str]:
    """Return the name of an event and the session's id."""
    return _short(pb.SessionEvent.Name(message.event), "SESSION_EVENT_"), message.session.id


class Client:
    """One caller: every call carries its API key, if it has one."""

    def __init__(self, channel: grpc.aio.Channel, key: str = "", app: str = "probe") -> None:
        self.channel = channel
        self.app = app
        self.metadata = (("authorization", f"Bearer {key}"),) if key else ()
        self.sessions = sessions_pb2_grpc.SessionServiceStub(channel)
        self.apps = apps_pb2_grpc.AppServiceStub(channel)

    def as_caller(self, key: str) -> "Client":
        """Return a client of the same gateway with another API key."""
        return Client(self.channel, key, self.app)

    async def run(
        self,
        function: str = "",
        input: dict[str, Any] | None = None,
        *,
        session: str = "",
        app: str = "",
        deadline: float | None = DEADLINE,
        **fields: Any,
    ) -> Answer:
        """Run a function of the app. Raises CallFailed."""
        request = pb.RunRequest(
            app=app or self.app,
            function=function,
            input_json=json.dumps(input or {}).encode(),
            session=session,
            **fields,
        )
        return Answer(await self.unary(self.sessions.Run, request, deadline))

    async def new(self, function: str = "", input: dict[str, Any] | None = None, **fields: Any) -> Answer:
        """Open a session with its first call. Raises CallFailed."""
        return await self.run(function, input, session="new", **fields)

    def stream(
        self, function: str = "", input: dict[str, Any] | None = None, *, session: str = "", **fields: Any
    ) -> RunStream:
        """Run a function of the app, and have what it yields."""
        deadline = fields.pop("deadline", DEADLINE)
        payload = json.dumps(input or {}).encode()
        request = pb.RunRequest(app=self.app, function=function, input_json=payload, session=session, **fields)
        return RunStream(self.sessions.RunStream(request, timeout=deadline, metadata=self.metadata))

    async def get(self, session_id: str) -> pb.Session:
        response = await self.unary(self.sessions.GetSession, pb.GetSessionRequest(session_id=session_id))
        return response.session  # type: ignore[no-any-return]

    async def keepalive(self, session_id: str) -> pb.Session:
        response = await self.unary(self.sessions.Keepalive, pb.KeepaliveRequest(session_id=session_id))
        return response.session  # type: ignore[no-any-return]

    async def end(self, session_id: str) -> pb.Session:
        response = await self.unary(self.sessions.EndSession, pb.EndSessionRequest(session_id=session_id))
        return response.session  # type: ignore[no-any-return]

    async def list(self, **fields: Any) -> pb.ListSessionsResponse:
        return await self.unary(self.sessions.ListSessions, pb.ListSessionsRequest(**fields))  # type: ignore[no-any-return]

    async def unary(self, method: Any, request: Any, deadline: float | None = DEADLINE) -> Any:
        """Call any unary method. Raises CallFailed."""
        return await _decoded(method(request, timeout=deadline, metadata=self.metadata))

    @asynccontextmanager
    async def keepalive_stream(self) -> AsyncIterator[KeepaliveStream]:
        """Open a stream, and cancel it at the end unless it has ended."""
        call = self.sessions.StreamKeepalive(metadata=self.metadata)
        try:
            yield KeepaliveStream(call)
        finally:
            call.cancel()

    @asynccontextmanager
    async def watch(self, resume_token: str = "", app: str = "") -> AsyncIterator[Watch]:
        """Open a watch, and cancel it at the end unless it has ended."""
        request = pb.WatchSessionsRequest(resume_token=resume_token, app=app)
        call = self.sessions.WatchSessions(request, metadata=self.metadata)
        try:
            yield Watch(call)
        finally:
            call.cancel()


@asynccontextmanager
async def connected(
    address: str, key: str = "", app: str = "probe", tls: grpc.ChannelCredentials | None = None
) -> AsyncIterator[Client]:
    """Connect to a gateway for as long as the context lasts."""
    # A connection of its own, or all clients of a process to one address share one.
    # And a window that does not grow with the speed of the server, or no reader is slow.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    async with (
        grpc.aio.insecure_channel(address, options=options)
        if tls is None
        else grpc.aio.secure_channel(address, tls, options=options)
    ) as channel:
        yield Client(channel, key, app)


async def failure(call: Awaitable[object]) -> CallFailed:
    """Return the error of a call that must fail."""
    try:
        answer = await call
    except CallFailed as error:
        return error
    raise AssertionError(f"the call did not fail, but answered {answer}")


async def counted(client: Client, session_id: str, calls: int) -> None:
    """Wait until so many calls of a session are admitted."""
    async with asyncio.timeout(DEADLINE):
        while (await client.get(session_id)).call_count < calls:  # noqa: ASYNC110 - nobody is told of an admission
            await asyncio.sleep(0)


async def _decoded(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise CallFailed(error) from None


def _short(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    return "" if name == "UNSPECIFIED" else name
