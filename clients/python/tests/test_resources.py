"""Sessions and apps can be looked up, listed over all pages, renewed and ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, timestamp_pb2

from sessiongateway import AsyncInference, Inference, UnavailableError
from sessiongateway.v1 import apps_pb2, errors_pb2, sessions_pb2
from tests.sdk.scripted import ScriptedGateway, abort

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def moment(when: datetime) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(when)
    return stamp


SESSION = sessions_pb2.Session(
    id="sess_1",
    app="acme/kv",
    version="3f9c",
    status=sessions_pb2.SESSION_STATUS_ACTIVE,
    worker_id="w1",
    session_timeout=60,
    created_at=moment(NOON),
    expires_at=moment(NOON + timedelta(seconds=60)),
    expires_in=duration_pb2.Duration(seconds=59, nanos=500_000_000),
    last_call_at=moment(NOON + timedelta(milliseconds=1)),
    call_count=2**40,
)


def test_a_session_is_shown_with_all_its_fields(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.answer("GetSession", sessions_pb2.GetSessionResponse(session=SESSION))
    info = client.sessions.get("sess_1")
    assert dict(info) == {
        "id": "sess_1",
        "app": "acme/kv",
        "version": "3f9c",
        "status": "active",
        "end_reason": None,
        "worker_id": "w1",
        "session_timeout": 60,
        "created_at": NOON,
        "expires_at": NOON + timedelta(seconds=60),
        "expires_in": timedelta(seconds=59.5),
        "last_call_at": NOON + timedelta(milliseconds=1),
        "ended_at": None,
        "call_count": 2**40,
        "worker_exit": None,
    }
    assert (info.status, info.call_count, info.expires_at) == ("active", 2**40, NOON + timedelta(seconds=60))
    assert gateway.received["GetSession"] == [sessions_pb2.GetSessionRequest(session_id="sess_1")]


def test_a_finished_session_says_how_it_ended(gateway: ScriptedGateway, client: Inference) -> None:
    ended = sessions_pb2.Session(
        status=sessions_pb2.SESSION_STATUS_ENDED,
        end_reason=errors_pb2.END_REASON_WORKER_LOST,
        worker_exit=errors_pb2.WorkerExit(signal=9),
        ended_at=moment(NOON),
    )
    gateway.answer("EndSession", sessions_pb2.EndSessionResponse(session=ended))
    info = client.sessions.end("sess_1")
    assert (info.status, info.end_reason, info.worker_exit, info.ended_at) == (
        "ended",
        "worker_lost",
        {"signal": 9},
        NOON,
    )
    assert gateway.received["EndSession"] == [sessions_pb2.EndSessionRequest(session_id="sess_1")]


def test_values_that_only_a_newer_gateway_knows_are_shown_by_their_numbers(
    gateway: ScriptedGateway, client: Inference
) -> None:
    newer: Any = 77
    session = sessions_pb2.Session(status=newer, end_reason=newer)
    gateway.answer("GetSession", sessions_pb2.GetSessionResponse(session=session))
    info = client.sessions.get("sess_1")
    assert (info.status, info.end_reason) == ("unknown_77", "unknown_77")


def test_a_session_is_renewed(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.answer("Keepalive", sessions_pb2.KeepaliveResponse(session=SESSION))
    assert client.sessions.keepalive("sess_1").expires_in == timedelta(seconds=59.5)
    assert gateway.received["Keepalive"] == [sessions_pb2.KeepaliveRequest(session_id="sess_1")]


def test_attributes_cannot_be_set_and_unknown_ones_are_missing(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.answer("GetSession", sessions_pb2.GetSessionResponse(session=SESSION))
    info: Any = client.sessions.get("sess_1")
    with pytest.raises(AttributeError, match="cannot be set"):
        info.status = "ended"
    with pytest.raises(AttributeError, match="no attribute 'stat'"):
        _ = info.stat
    assert "call_count" in dir(info)


class Pages:
    """Three pages, the second of them empty."""

    def __init__(self) -> None:
        self.ids: dict[str, tuple[list[str], str]] = {"": (["a", "b"], "2"), "2": ([], "3"), "3": (["c"], "")}

    async def __call__(self, request: Any, context: Any) -> sessions_pb2.ListSessionsResponse:
        ids, token = self.ids[request.page_token]
        sessions = [sessions_pb2.Session(id=each) for each in ids]
        return sessions_pb2.ListSessionsResponse(sessions=sessions, next_page_token=token)


def test_listing_walks_over_all_pages_and_fetches_each_when_it_is_needed(
    gateway: ScriptedGateway, client: Inference
) -> None:
    gateway.on("ListSessions", Pages())
    walk = client.sessions.list()
    assert gateway.received == {}
    assert [next(walk).id, next(walk).id] == ["a", "b"]
    assert len(gateway.received["ListSessions"]) == 1
    assert [session.id for session in walk] == ["c"]
    assert [request.page_token for request in gateway.received["ListSessions"]] == ["", "2", "3"]
    assert list(walk) == []
    assert len(gateway.received["ListSessions"]) == 3


async def test_listing_is_an_async_iterator_too(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    gateway.on("ListSessions", Pages())
    assert [session.id async for session in async_client.sessions.list()] == ["a", "b", "c"]


def test_the_filter_goes_with_every_page(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.on("ListSessions", Pages())
    list(client.sessions.list(status="expired", app="kv", page_size=2))
    for request in gateway.received["ListSessions"]:
        assert request.status == sessions_pb2.SESSION_STATUS_EXPIRED
        assert (request.app, request.page_size) == ("kv", 2)


def test_a_status_that_does_not_exist_is_refused_before_anything_is_sent(
    gateway: ScriptedGateway, client: Inference
) -> None:
    with pytest.raises(ValueError, match="'dead' is not a session status; those are active, ended, expired"):
        client.sessions.list(status="dead")
    assert gateway.received == {}


def test_an_app_is_described_with_its_functions(gateway: ScriptedGateway, client: Inference) -> None:
    function = apps_pb2.Function(name="get", description="Gets.", input_schema='{"type": "object"}')
    app = apps_pb2.App(
        name="kv",
        version="1",
        current_version="2",
        versions=["2", "1"],
        default_function="get",
        functions=[function],
        concurrency=1,
        idle_worker_ids=["w1"],
    )
    gateway.answer("GetApp", apps_pb2.GetAppResponse(app=app))
    info = client.apps.get("kv@1")
    assert (info.name, info.version, info.current_version, info.versions) == ("kv", "1", "2", ["2", "1"])
    assert (info.default_function, info.concurrency, info.idle_worker_ids) == ("get", 1, ["w1"])
    (shown,) = info.functions
    assert (shown.name, shown.description) == ("get", "Gets.")
    assert (shown.input_schema, shown.output_schema) == ({"type": "object"}, {})
    assert gateway.received["GetApp"] == [apps_pb2.GetAppRequest(app="kv@1")]


async def test_apps_are_listed_over_all_pages(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    pages = [
        apps_pb2.ListAppsResponse(apps=[apps_pb2.App(name="a")], next_page_token="t"),
        apps_pb2.ListAppsResponse(apps=[apps_pb2.App(name="b")]),
    ]
    gateway.answer("ListApps", *pages)
    assert [app.name async for app in async_client.apps.list(page_size=1)] == ["a", "b"]
    assert [request.page_token for request in gateway.received["ListApps"]] == ["", "t"]


class Flaky:
    """Fails with a bare UNAVAILABLE so many times, then answers."""

    def __init__(self, times: int, response: Any) -> None:
        self.left = times
        self._response = response

    async def __call__(self, request: Any, context: Any) -> Any:
        if self.left:
            self.left -= 1
            await abort(context, grpc.StatusCode.UNAVAILABLE, "try again")
        return self._response


@pytest.mark.parametrize(
    ("method", "response"),
    [
        ("GetSession", sessions_pb2.GetSessionResponse()),
        ("Keepalive", sessions_pb2.KeepaliveResponse()),
        ("EndSession", sessions_pb2.EndSessionResponse()),
        ("ListSessions", sessions_pb2.ListSessionsResponse()),
        ("GetApp", apps_pb2.GetAppResponse()),
        ("ListApps", apps_pb2.ListAppsResponse()),
    ],
)
def test_what_is_safe_to_repeat_is_sent_again_when_unavailable(
    gateway: ScriptedGateway, client: Inference, method: str, response: Any
) -> None:
    gateway.on(method, Flaky(1, response))
    calls: dict[str, Any] = {
        "GetSession": lambda: client.sessions.get("s"),
        "Keepalive": lambda: client.sessions.keepalive("s"),
        "EndSession": lambda: client.sessions.end("s"),
        "ListSessions": lambda: list(client.sessions.list()),
        "GetApp": lambda: client.apps.get("kv"),
        "ListApps": lambda: list(client.apps.list()),
    }
    calls[method]()
    assert len(gateway.received[method]) == 2


def test_repeating_ends_after_a_few_attempts(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.on("GetSession", Flaky(100, None))
    with pytest.raises(UnavailableError) as caught:
        client.sessions.get("s")
    assert caught.value.run_state is None
    assert len(gateway.received["GetSession"]) == 4
