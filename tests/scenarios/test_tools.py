"""The gateway as it shows itself to grpcurl and `buf curl`, without a proto file."""

from collections.abc import Iterator

import pytest

from gateway.testing.process import GatewayProcess
from tests.scenarios.tools import SERVICE, BufCurl, Grpcurl, Tool, find_buf, find_grpcurl
from tests.scenarios.witness import APPS, STEADY

INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION = 3, 5, 9

METHODS = {
    "Run",
    "RunStream",
    "GetSession",
    "ListSessions",
    "Keepalive",
    "StreamKeepalive",
    "WatchSessions",
    "EndSession",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {STEADY: APPS / "steady"}, ["--min-idle", "1"]) as process:
        yield process


@pytest.fixture
def grpcurl(gateway: GatewayProcess) -> Grpcurl:
    return Grpcurl(find_grpcurl(), gateway.address)


@pytest.fixture(params=["grpcurl", "buf curl"])
def tool(request: pytest.FixtureRequest, gateway: GatewayProcess) -> Tool:
    if request.param == "grpcurl":
        return Grpcurl(find_grpcurl(), gateway.address)
    return BufCurl(find_buf(), gateway.address)


def test_services_and_methods_are_listed(tool: Tool) -> None:
    assert tool.services() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "sessiongateway.v1.AppService",
        SERVICE,
    ]
    assert set(tool.methods()) == {f"{SERVICE}.{method}" for method in METHODS}


def test_services_requests_and_the_types_of_details_are_described(grpcurl: Grpcurl) -> None:
    service = grpcurl.describe(SERVICE)
    assert "rpc Run ( .sessiongateway.v1.RunRequest ) returns ( .sessiongateway.v1.RunResponse )" in service
    assert "( stream .sessiongateway.v1.StreamKeepaliveRequest )" in service
    assert "optional int32 session_timeout = 6" in grpcurl.describe("sessiongateway.v1.RunRequest")
    assert "message ErrorDetail" in grpcurl.describe("sessiongateway.v1.ErrorDetail")
    for name in ("ErrorInfo", "BadRequest", "RetryInfo"):
        assert f"message {name}" in grpcurl.describe(f"google.rpc.{name}")


def test_a_session_is_opened_used_listed_renewed_and_ended(tool: Tool) -> None:
    (opened,) = tool.call("Run", {"app": STEADY, "session": "new", "session_timeout": 300, "input": {"a": 1}}).messages
    session_id = opened["sessionId"]
    assert opened["output"]["calls"] == 1
    assert opened["session"]["sessionTimeout"] == 300
    again = {"app": STEADY, "session": session_id, "input": {"b": [None, True, 1.5, "ü"]}}
    (answer,) = tool.call("Run", again).messages
    assert answer["output"]["state"] == {"a": 1, "b": [None, True, 1.5, "ü"]}
    (listed,) = tool.call("ListSessions", {"status": "SESSION_STATUS_ACTIVE", "page_size": 1}).messages
    assert [session["id"] for session in listed["sessions"]] == [session_id]
    (read,) = tool.call("GetSession", {"session_id": session_id}).messages
    assert read["session"]["callCount"] == "2"
    assert read["session"]["status"] == "SESSION_STATUS_ACTIVE"
    (renewed,) = tool.call("Keepalive", {"session_id": session_id}).messages
    assert renewed["session"]["expiresAt"] > answer["session"]["expiresAt"]
    (ended,) = tool.call("EndSession", {"session_id": session_id}).messages
    assert (ended["session"]["status"], ended["session"]["endReason"]) == ("SESSION_STATUS_ENDED", "END_REASON_CALLER")
    late = tool.call("Run", again)
    assert late.code == FAILED_PRECONDITION
    assert late.details is not None
    assert late.details["google.rpc.ErrorInfo"]["reason"] == "SESSION_ENDED"
    assert late.details["sessiongateway.v1.ErrorDetail"]["endReason"] == "END_REASON_CALLER"


def test_a_plain_call_needs_nothing_but_the_app(tool: Tool) -> None:
    (answer,) = tool.call("Run", {"app": STEADY}).messages
    assert answer["sessionId"] == ""
    assert answer["output"]["calls"] >= 1


def test_a_stream_of_keepalives_answers_each_id(tool: Tool) -> None:
    sessions = [
        tool.call("Run", {"app": STEADY, "session": "new", "input": {}}).messages[0]["sessionId"] for _ in range(2)
    ]
    unknown = "sess_" + "a" * 26
    shown = tool.call("StreamKeepalive", {"session_ids": sessions}, {"session_ids": [unknown, sessions[0]]})
    assert shown.code == 0
    assert [news["sessionId"] for news in shown.messages] == [*sessions, unknown, sessions[0]]
    assert shown.messages[2]["error"]["code"] == "ERROR_CODE_SESSION_NOT_FOUND"
    assert shown.messages[3]["session"]["status"] == "SESSION_STATUS_ACTIVE"
    for session in sessions:
        tool.call("EndSession", {"session_id": session})


def test_an_error_shows_each_detail_with_its_fields(tool: Tool) -> None:
    wrong = tool.call("Run", {"app": "no name", "session": "abc", "session_timeout": 0})
    assert wrong.code == INVALID_ARGUMENT
    assert wrong.details is not None
    info = wrong.details["google.rpc.ErrorInfo"]
    assert (info["reason"], info["domain"], info["metadata"]["httpStatus"]) == (
        "INVALID_REQUEST",
        "sessiongateway",
        "400",
    )
    detail = wrong.details["sessiongateway.v1.ErrorDetail"]
    assert (detail["code"], detail["httpStatus"], detail["runState"], detail["message"]) == (
        "ERROR_CODE_INVALID_REQUEST",
        400,
        "RUN_STATE_NOT_STARTED",
        wrong.message,
    )
    bad_request = wrong.details["google.rpc.BadRequest"]
    violations = bad_request.get("fieldViolations") or bad_request["field_violations"]
    assert [violation["field"] for violation in violations] == ["app", "session", "session_timeout", "session_timeout"]


def test_buf_curl_refuses_to_send_both_payloads_at_once(gateway: GatewayProcess) -> None:
    shown = BufCurl(find_buf(), gateway.address).send("Run", '{"app": "steady", "input": {}, "input_json": "e30="}')
    assert shown.returncode != 0
    assert "payload is already set" in shown.stderr
    assert shown.stdout == ""


def test_apps_are_listed_and_described(tool: Tool) -> None:
    apps = "sessiongateway.v1.AppService"
    (listed,) = tool.call("ListApps", service=apps).messages
    assert [app["name"] for app in listed["apps"]] == [STEADY]
    (shown,) = tool.call("GetApp", {"app": STEADY}, service=apps).messages
    assert [function["name"] for function in shown["app"]["functions"]] == ["order", "run"]
    missing = tool.call("GetApp", {"app": "nobody"}, service=apps)
    assert missing.code == NOT_FOUND


@pytest.mark.parametrize("name", ["", SERVICE, "sessiongateway.v1.AppService"])
def test_health_is_serving_for_the_server_and_each_service(tool: Tool, name: str) -> None:
    (answer,) = tool.call("Check", {"service": name}, service="grpc.health.v1.Health").messages
    assert answer == {"status": "SERVING"}
