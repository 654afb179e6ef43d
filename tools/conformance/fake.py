"""A server that answers as a newer gateway might, or a broken one, or a proxy in between.

What it does with a call stands in the name of the function; with other requests, in the session's id. Words are joined
by dots: `error.5`, `flaky.2`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from google.protobuf import any_pb2, duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2

from sessiongateway.v1 import apps_pb2, apps_pb2_grpc, errors_pb2, sessions_pb2, sessions_pb2_grpc
from tools.conformance.certificates import Certificates

Context = Any

FUTURE_STATUS, FUTURE_REASON, FUTURE_EVENT, FUTURE_CODE = 9, 99, 42, 999
_STATUS_KEY = "grpc-status-details-bin"

# Field 1000, a text: no message of this version has it.
_UNKNOWN_FIELD = b"\xc2\x3e\x06future"


class FakeGateway(sessions_pb2_grpc.SessionServiceServicer, apps_pb2_grpc.AppServiceServicer):
    """An async context manager; counts what it was asked for in `seen`, and keeps with which `keys`."""

    def __init__(self, tls: Certificates | None = None, *, ask: bool = False) -> None:
        """With certificates it serves TLS, and asks for that of the client if it should."""
        self.address = ""
        self.tls = tls
        self.seen: Counter[str] = Counter()
        self.keys: dict[str, list[str]] = {}
        self._ask = ask
        self._server = grpc.aio.server()

    async def __aenter__(self) -> Self:
        sessions_pb2_grpc.add_SessionServiceServicer_to_server(self, self._server)
        apps_pb2_grpc.add_AppServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._listen('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    def _listen(self, address: str) -> int:
        if self.tls is None:
            return self._server.add_insecure_port(address)
        pair = (self.tls.read("server.key"), self.tls.read("server.pem"))
        credentials = grpc.ssl_server_credentials([pair], self.tls.read("ca.pem") if self._ask else None, self._ask)
        return self._server.add_secure_port(address, credentials)

    def _note(self, method: str, context: Context) -> int:
        """Note a request, and return how many of its kind there were."""
        given = [str(value) for key, value in context.invocation_metadata() or () if key == "authorization"]
        self.keys.setdefault(method, []).append(", ".join(given))
        self.seen[method] += 1
        return self.seen[method]

    async def Run(self, request: sessions_pb2.RunRequest, context: Context) -> sessions_pb2.RunResponse:
        """Do what the function's name says."""
        attempt = self._note("Run", context)
        await self._fail(request.function, attempt, context)
        response = _run_response(request)
        if request.function == "open":
            response.session.CopyFrom(_session(f"s.{attempt}"))
            response.session_id = response.session.id
        return response

    async def RunStream(
        self, request: sessions_pb2.RunRequest, context: Context
    ) -> AsyncIterator[sessions_pb2.RunStreamResponse]:
        """The same, with one partial output before that, or what else the name says."""
        attempt = self._note("RunStream", context)
        name, _, then = request.function.partition(".")
        if name != "late":
            await self._fail(request.function, attempt, context)
        yield sessions_pb2.RunStreamResponse(partial_json=b'{"part": 1}')
        if name == "late":
            await self._fail(then, 1, context)
        if name == "no_result":
            return
        if name == "unknown_part":
            yield sessions_pb2.RunStreamResponse.FromString(_UNKNOWN_FIELD)
        yield sessions_pb2.RunStreamResponse(result=_run_response(request))

    async def GetSession(self, request: Any, context: Context) -> sessions_pb2.GetSessionResponse:
        """Return the session that the id says."""
        attempt = self._note("GetSession", context)
        await self._fail(request.session_id, attempt, context)
        return sessions_pb2.GetSessionResponse(session=_session(request.session_id))

    async def Keepalive(self, request: Any, context: Context) -> sessions_pb2.KeepaliveResponse:
        """Return the session that the id says."""
        attempt = self._note("Keepalive", context)
        await self._fail(request.session_id, attempt, context)
        return sessions_pb2.KeepaliveResponse(session=_session(request.session_id))

    async def EndSession(self, request: Any, context: Context) -> sessions_pb2.EndSessionResponse:
        """Return the session that the id says."""
        attempt = self._note("EndSession", context)
        await self._fail(request.session_id, attempt, context)
        return sessions_pb2.EndSessionResponse(session=_session(request.session_id))

    async def ListSessions(self, request: Any, context: Context) -> sessions_pb2.ListSessionsResponse:
        """Return pages of which the second is empty and the third is not; an app named after a failure fails so."""
        attempt = self._note("ListSessions", context)
        await self._fail(request.app, attempt, context)
        pages = {"": (["s.1", "s.2"], "two"), "two": ([], "three"), "three": (["future"], "")}
        names, token = pages[request.page_token]
        response = sessions_pb2.ListSessionsResponse(sessions=map(_session, names), next_page_token=token)
        response.MergeFromString(_UNKNOWN_FIELD)
        return response

    async def StreamKeepalive(
        self, requests: AsyncIterator[sessions_pb2.StreamKeepaliveRequest], context: Context
    ) -> AsyncIterator[sessions_pb2.StreamKeepaliveResponse]:
        """Answer each id; break the first streams if an id says so."""
        attempt = self._note("StreamKeepalive", context)
        async for request in requests:
            for session_id in request.session_ids:
                self.seen[f"keepalive of {session_id}"] += 1
                await self._fail(session_id, attempt, context)
                yield _keepalive_response(session_id, self.seen[f"keepalive of {session_id}"])

    async def WatchSessions(self, request: Any, context: Context) -> AsyncIterator[sessions_pb2.WatchSessionsResponse]:
        """Tell of five events, breaking off behind every second one; an app named after a failure fails so."""
        attempt = self._note("WatchSessions", context)
        await self._fail(request.app, attempt, context)
        position = int(request.resume_token.partition("-")[2] or 0)
        yield _event(sessions_pb2.SESSION_EVENT_WATCHING, position)
        events = [2, 2, FUTURE_EVENT, 3, 4]
        for told, event in enumerate(events[position : position + 2], position + 1):
            yield _event(event, told)
        if position + 2 < len(events):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken off")
        await asyncio.Event().wait()

    async def GetApp(self, request: Any, context: Context) -> apps_pb2.GetAppResponse:
        """Return an app, or fail as its name says."""
        attempt = self._note("GetApp", context)
        await self._fail(request.app, attempt, context)
        app = apps_pb2.App(name=request.app, version="1", current_version="1", versions=["1"])
        app.functions.append(apps_pb2.Function(name="run", input_schema="{}", output_schema="{}"))
        app.MergeFromString(_UNKNOWN_FIELD)
        return apps_pb2.GetAppResponse(app=app)

    async def ListApps(self, request: Any, context: Context) -> apps_pb2.ListAppsResponse:
        """Return pages of which the first is empty."""
        self._note("ListApps", context)
        if not request.page_token:
            return apps_pb2.ListAppsResponse(next_page_token="two")
        return apps_pb2.ListAppsResponse(apps=[apps_pb2.App(name="a", version="1")])

    async def _fail(self, name: str, attempt: int, context: Context) -> None:
        """Fail if the name says so; `attempt` is how often this has been asked for."""
        kind, _, argument = name.partition(".")
        match kind:
            case "error":
                await _abort_with_code(context, int(argument))
            case "flaky" if attempt <= int(argument):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            case "draining" if attempt <= int(argument):
                await _abort_with_code(context, errors_pb2.ERROR_CODE_GATEWAY_DRAINING)
            case "store" if attempt <= int(argument):
                await _abort_with_code(context, errors_pb2.ERROR_CODE_STORE_UNAVAILABLE)
            case _:
                await _fail_as_others(kind, argument, context)


async def _fail_as_others(kind: str, argument: str, context: Context) -> None:
    """Fail as what stands between a gateway and its callers does, or a gateway that this version does not know."""
    match kind:
        case "bare":
            await context.abort(grpc.StatusCode[argument], "made by a proxy")
        case "garbage":
            context.set_trailing_metadata(((_STATUS_KEY, b"\xff\xff\xff"),))
            await context.abort(grpc.StatusCode.ABORTED, "with details that nobody can read")
        case "foreign":
            info = error_details_pb2.ErrorInfo(reason="SESSION_EXPIRED", domain="example.com")
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, "of another service", [_packed(info)])
        case "reason_only":
            info = error_details_pb2.ErrorInfo(reason="SESSION_EXPIRED", domain="sessiongateway")
            info.metadata["httpStatus"] = "410"
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, "without our detail", [_packed(info)])
        case "hang":
            await asyncio.Event().wait()


def _run_response(request: sessions_pb2.RunRequest) -> sessions_pb2.RunResponse:
    if request.function == "plain":
        return sessions_pb2.RunResponse(output_json=request.input_json or b"{}", call_id="call_1")
    response = sessions_pb2.RunResponse(
        session_id="future", output_json=request.input_json or b"{}", call_id="call_1", session=_session("future")
    )
    response.MergeFromString(_UNKNOWN_FIELD)
    return response


def _session(session_id: str) -> sessions_pb2.Session:
    session = sessions_pb2.Session(
        id=session_id,
        app="probe",
        version="1",
        status=sessions_pb2.SESSION_STATUS_ACTIVE,
        worker_id="w_1",
        session_timeout=60,
        # Nanoseconds, of which some languages' times have no room for all.
        created_at=timestamp_pb2.Timestamp(seconds=1_700_000_000, nanos=123_456_789),
        expires_in=duration_pb2.Duration(seconds=59, nanos=500_000_000),
        call_count=2**40 + 1 if session_id == "s.1" else 1,
    )
    kind, _, argument = session_id.partition(".")
    if kind == "reason":
        session.status = sessions_pb2.SESSION_STATUS_ENDED
        session.end_reason = int(argument)  # type: ignore[assignment]
        # Zero, which is not the same as nothing.
        session.worker_exit.exit_code = 0
    if session_id == "future":
        session.status = FUTURE_STATUS  # type: ignore[assignment]  # open enums take any number
        session.end_reason = FUTURE_REASON  # type: ignore[assignment]
        session.MergeFromString(_UNKNOWN_FIELD)
        session.worker_exit.MergeFromString(_UNKNOWN_FIELD)
    return session


def _keepalive_response(session_id: str, attempt: int) -> sessions_pb2.StreamKeepaliveResponse:
    kind, _, argument = session_id.partition(".")
    if kind == "away" and attempt <= int(argument):
        away = errors_pb2.ErrorDetail(message="the store is away", session_id=session_id, http_status=503)
        away.code = errors_pb2.ERROR_CODE_STORE_UNAVAILABLE
        away.retry_after.FromMilliseconds(10)
        return sessions_pb2.StreamKeepaliveResponse(session_id=session_id, error=away)
    if session_id == "future_error":
        detail = errors_pb2.ErrorDetail(
            message="what only a newer gateway says", session_id=session_id, http_status=418
        )
        detail.code = FUTURE_CODE  # type: ignore[assignment]
        detail.end_reason = FUTURE_REASON  # type: ignore[assignment]
        return sessions_pb2.StreamKeepaliveResponse(session_id=session_id, error=detail)
    response = sessions_pb2.StreamKeepaliveResponse(session_id=session_id, session=_session(session_id))
    response.MergeFromString(_UNKNOWN_FIELD)
    return response


def _event(event: int, position: int) -> sessions_pb2.WatchSessionsResponse:
    message = sessions_pb2.WatchSessionsResponse(resume_token=f"at-{position}")
    message.event = event  # type: ignore[assignment]
    message.occurred_at.FromSeconds(1_700_000_000 + position)
    if event != sessions_pb2.SESSION_EVENT_WATCHING:
        message.session.CopyFrom(_session(f"s.{position}"))
    message.MergeFromString(_UNKNOWN_FIELD)
    return message


async def _abort_with_code(context: Context, code: int) -> NoReturn:
    """Fail with every detail that there is, of a code that exists or does not."""
    known = code in errors_pb2.ErrorCode.values()
    reason = errors_pb2.ErrorCode.Name(code).removeprefix("ERROR_CODE_") if known else "MOON_PHASE"  # type: ignore[arg-type]
    detail = errors_pb2.ErrorDetail(
        message="as asked",
        http_status=418,
        run_state=errors_pb2.RUN_STATE_NOT_STARTED,
        session_id="sess_x",
        end_reason=errors_pb2.END_REASON_WORKER_LOST,
        call_id="call_x",
        retry_after=duration_pb2.Duration(nanos=10_000_000),
        app_failure=errors_pb2.AppFailure(type="ValueError", message="wrong ✗ 𝄞", traceback="line 1\nline 2"),
        worker_exit=errors_pb2.WorkerExit(signal=9),
        session_app=errors_pb2.AppVersion(app="acme/kv", version="1"),
        requested_app=errors_pb2.AppVersion(app="acme/kv", version="2"),
        error_id="err_x",
    )
    detail.code = code  # type: ignore[assignment]
    if not known:
        detail.run_state = 77  # type: ignore[assignment]
        detail.end_reason = FUTURE_REASON  # type: ignore[assignment]
    detail.MergeFromString(_UNKNOWN_FIELD)
    info = error_details_pb2.ErrorInfo(reason=reason, domain="sessiongateway")
    info.metadata.update({"httpStatus": "418", "word": "Größe"})
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=10_000_000))
    request = error_details_pb2.BadRequest()
    request.field_violations.add(field="input.a.0", description="must be a number")
    # What else a newer gateway may add comes first, where a careless reader stumbles over it.
    unknown = any_pb2.Any(type_url="type.googleapis.com/sessiongateway.v9.Unheard", value=_UNKNOWN_FIELD)
    details = [unknown, _packed(info), _packed(detail), _packed(retry), _packed(request)]
    await _abort(context, _STATUSES.get(reason, grpc.StatusCode.FAILED_PRECONDITION), "as asked", details)


_STATUSES = {
    "GATEWAY_DRAINING": grpc.StatusCode.UNAVAILABLE,
    "STORE_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "CALL_TIMED_OUT": grpc.StatusCode.DEADLINE_EXCEEDED,
    "APP_ERROR": grpc.StatusCode.UNKNOWN,
    "INTERNAL": grpc.StatusCode.INTERNAL,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "PERMISSION_DENIED": grpc.StatusCode.PERMISSION_DENIED,
    "SESSION_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
}


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


async def _abort(context: Context, status: grpc.StatusCode, message: str, details: list[any_pb2.Any]) -> NoReturn:
    packed = status_pb2.Status(code=status.value[0], message=message, details=details)
    context.set_trailing_metadata(((_STATUS_KEY, packed.SerializeToString()),))
    await context.abort(status, message)
    raise AssertionError("abort does not return")
