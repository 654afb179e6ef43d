"""From a request's fields to what the manager is asked. Finds everything that is wrong with them at once."""

from collections.abc import Mapping, Sequence

from gateway.apps import names
from gateway.apps.names import AppQuery
from gateway.errors import InvalidRequest, Violation
from gateway.model import MAX_SESSION_TIMEOUT, MIN_SESSION_TIMEOUT, SESSION_ID_PREFIX, SessionStatus
from gateway.sessions.requests import NEW, RunRequest
from gateway.stores.base import SessionFilter
from sessiongateway.v1 import sessions_pb2 as pb

MAX_NAME = 128
"""Characters of ids and names in a request."""

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_IDS_PER_MESSAGE = 1000

_STATUSES = {
    pb.SESSION_STATUS_UNSPECIFIED: None,
    pb.SESSION_STATUS_ACTIVE: SessionStatus.ACTIVE,
    pb.SESSION_STATUS_ENDED: SessionStatus.ENDED,
    pb.SESSION_STATUS_EXPIRED: SessionStatus.EXPIRED,
}


class Problems:
    """Gathers violations, so that a caller hears of all of them together."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        """Note that a field is wrong."""
        self._violations.append(Violation(field, description))

    def check(self) -> None:
        """Raise InvalidRequest if anything was noted."""
        if self._violations:
            raise InvalidRequest.of(self._violations)


def run_request(request: pb.RunRequest, max_input_bytes: int) -> RunRequest:
    """Return the call that is asked for. Raises InvalidRequest."""
    problems = Problems()
    app = _app(request.app, problems)
    payload, as_struct = _payload(request, max_input_bytes, problems)
    session, worker_id = request.session, request.worker_id
    if session not in ("", NEW):
        _session_id("session", session, problems, instead=f'must be "{NEW}", a session id, or left out')
    timeout = _session_timeout(request, problems)
    if worker_id and not session:
        problems.add("worker_id", "goes only with a session")
    function, request_id = request.function, request.request_id
    if len(function) > MAX_NAME or len(worker_id) > MAX_NAME or len(request_id) > MAX_NAME:
        for field, value in (("function", function), ("worker_id", worker_id), ("request_id", request_id)):
            _length(field, value, problems)
    if request_id and not all("!" <= letter <= "~" for letter in request_id):
        problems.add("request_id", "must be visible ASCII characters")
    expected = _expected_call_count(request, problems)
    problems.check()
    return RunRequest(
        app or AppQuery(""), function, payload, as_struct, session, timeout, worker_id, request_id, expected
    )


def session_id(value: str) -> str:
    """Return the session id of a request. Raises InvalidRequest."""
    problems = Problems()
    _session_id("session_id", value, problems, instead=f"must be a session id ({SESSION_ID_PREFIX}...)")
    problems.check()
    return value


def session_ids(values: Sequence[str]) -> tuple[Sequence[str], Mapping[str, InvalidRequest]]:
    """Return the ids of one message of a keepalive stream, and those of them that are none, each with its own error.

    Raises InvalidRequest when there are too many.
    """
    ids = list(values)
    problems = Problems()
    if not 1 <= len(ids) <= MAX_IDS_PER_MESSAGE:
        problems.add("session_ids", f"must be 1 to {MAX_IDS_PER_MESSAGE} ids, not {len(ids)}")
    problems.check()
    wrong = {}
    for value in ids:
        if len(value) > MAX_NAME or not value.startswith(SESSION_ID_PREFIX):
            try:
                session_id(value)
            except InvalidRequest as error:
                wrong[value] = error
    return ids, wrong


def app_query(value: str) -> AppQuery:
    """Return the app that a request names. Raises InvalidRequest."""
    problems = Problems()
    app = _app(value, problems)
    problems.check()
    assert app is not None
    return app


def session_filter(request: pb.ListSessionsRequest, owner: str | None) -> tuple[SessionFilter, int]:
    """Return the filter and the page size; no owner means anybody's sessions. Raises InvalidRequest."""
    problems = Problems()
    size = _page_size(request.page_size, problems)
    if request.status not in _STATUSES:
        problems.add("status", f"{request.status} is not a status")
    app, version = _app_filter(request.app, problems)
    problems.check()
    return SessionFilter(owner=owner, status=_STATUSES[request.status], app=app, version=version), size


def watch_filter(request: pb.WatchSessionsRequest, owner: str | None) -> SessionFilter:
    """Return whose sessions (no owner: anybody's), and of which app, are watched. Raises InvalidRequest."""
    problems = Problems()
    app, version = _app_filter(request.app, problems)
    problems.check()
    return SessionFilter(owner=owner, app=app, version=version)


def page_size(value: int) -> int:
    """Return the page size that is meant. Raises InvalidRequest."""
    problems = Problems()
    size = _page_size(value, problems)
    problems.check()
    return size


def _app(value: str, problems: Problems) -> AppQuery | None:
    try:
        if not value:
            raise ValueError("is required")
        return names.parse(value)
    except ValueError as error:
        problems.add("app", str(error))
        return None


def _app_filter(value: str, problems: Problems) -> tuple[str | None, str | None]:
    """Return name and version of the app that sessions must have; None for any."""
    app = _app(value, problems) if value else None
    if value.endswith(f"@{names.LATEST}"):
        problems.add("app", f"must name a version, or none for all: {names.LATEST} would be another one tomorrow")
    return (app.name, app.version or None) if app else (None, None)


def _payload(request: pb.RunRequest, limit: int, problems: Problems) -> tuple[bytes, bool]:
    if request.WhichOneof("payload") == "input_json":
        field, payload, as_struct = "input_json", request.input_json, False
    else:
        # Deterministic: the order of a map is free on the wire, and a repeat must look the same as the first call.
        field, payload, as_struct = "input", request.input.SerializeToString(deterministic=True), True
    if len(payload) > limit:
        problems.add(field, f"is {len(payload)} bytes; this gateway takes at most {limit}")
    return payload, as_struct


def _expected_call_count(request: pb.RunRequest, problems: Problems) -> int | None:
    if not request.HasField("expected_call_count"):
        return None
    if request.session in ("", NEW):
        problems.add("expected_call_count", "goes only with a session id")
    if request.expected_call_count < 0:
        problems.add("expected_call_count", "must not be negative")
    return request.expected_call_count


def _session_timeout(request: pb.RunRequest, problems: Problems) -> int | None:
    if not request.HasField("session_timeout"):
        return None
    if request.session != NEW:
        problems.add("session_timeout", f'goes only with session "{NEW}"')
    if not MIN_SESSION_TIMEOUT <= request.session_timeout <= MAX_SESSION_TIMEOUT:
        wanted = f"must be {MIN_SESSION_TIMEOUT} to {MAX_SESSION_TIMEOUT} seconds"
        problems.add("session_timeout", f"{wanted}, not {request.session_timeout}")
    return request.session_timeout


def _session_id(field: str, value: str, problems: Problems, instead: str) -> None:
    if not value.startswith(SESSION_ID_PREFIX):
        problems.add(field, instead)
    _length(field, value, problems)


def _length(field: str, value: str, problems: Problems) -> None:
    if len(value) > MAX_NAME:
        problems.add(field, f"must be at most {MAX_NAME} characters")


def _page_size(value: int, problems: Problems) -> int:
    if not 0 <= value <= MAX_PAGE_SIZE:
        problems.add("page_size", f"must be 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}")
    return value or DEFAULT_PAGE_SIZE
