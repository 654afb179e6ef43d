"""Streams and their errors as they show in grpcurl and `buf curl`."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from tests.scenarios.conftest import PROBE
from tests.scenarios.tools import BufCurl, Grpcurl, Shown, Tool, find_buf, find_grpcurl

UNKNOWN, INVALID_ARGUMENT = 2, 3


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {"probe": PROBE}, ["--min-idle", "1"]) as process:
        yield process


@pytest.fixture(params=["grpcurl", "buf curl"])
def tool(request: pytest.FixtureRequest, gateway: GatewayProcess) -> Tool:
    if request.param == "grpcurl":
        return Grpcurl(find_grpcurl(), gateway.address)
    return BufCurl(find_buf(), gateway.address)


def detail_of(shown: Shown) -> Any:
    assert shown.details is not None
    return shown.details["sessiongateway.v1.ErrorDetail"]


def test_a_stream_shows_its_parts_and_then_its_result(tool: Tool) -> None:
    shown = tool.call("RunStream", {"app": "probe", "function": "count", "input": {"steps": 2}})
    assert shown.code == 0
    assert [part["partial"] for part in shown.messages[:-1]] == [{"step": 0}, {"step": 1}]
    assert shown.messages[-1]["result"]["output"] == {"total": 2}


def test_a_stream_that_fails_shows_its_parts_and_then_the_details(tool: Tool) -> None:
    request = {"app": "probe", "function": "break_off", "input": {"outputs": [{"a": 1}, {"b": 2}]}}
    shown = tool.call("RunStream", request)
    assert shown.code == UNKNOWN
    assert [part["partial"] for part in shown.messages] == [{"a": 1}, {"b": 2}]
    assert detail_of(shown)["code"] == "ERROR_CODE_APP_ERROR"
    assert detail_of(shown)["appFailure"]["type"] == "ValueError"


@pytest.mark.parametrize(
    ("method", "request_message", "field"),
    [("RunStream", {"app": "no name"}, "app"), ("WatchSessions", {"resume_token": "nonsense"}, "resume_token")],
)
def test_a_stream_that_is_refused_shows_the_details(
    tool: Tool, method: str, request_message: dict[str, str], field: str
) -> None:
    shown = tool.call(method, request_message)
    assert (shown.code, list(shown.messages)) == (INVALID_ARGUMENT, [])
    assert detail_of(shown)["code"] == "ERROR_CODE_INVALID_REQUEST"
    assert shown.details is not None
    bad_request = shown.details["google.rpc.BadRequest"]
    violations = bad_request.get("fieldViolations") or bad_request["field_violations"]
    assert [violation["field"] for violation in violations] == [field]


def test_a_stream_of_keepalives_that_is_refused_shows_the_details(tool: Tool) -> None:
    shown = tool.call("StreamKeepalive", {"session_ids": []})
    assert shown.code == INVALID_ARGUMENT
    assert detail_of(shown)["code"] == "ERROR_CODE_INVALID_REQUEST"
