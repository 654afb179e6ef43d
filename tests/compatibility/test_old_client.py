"""A client of the last release gets along with the gateway of today, and with what that has got since."""

import json
from collections.abc import Iterator

import grpc
import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import errors_pb2
from tests.compatibility.baseline import OldClient, Refused, old_client
from tests.scenarios.conftest import PROBE
from tests.scenarios.limited import limited

NOBODY = "sess_" + "0" * 24
CALL_LIMIT = 0.2
"""Seconds; nothing else in these tests is called on the app that has it."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("gateway")
    apps = {"probe": PROBE, "hurried": limited(PROBE, directory / "hurried", call=CALL_LIMIT)}
    with GatewayProcess(directory / "data", apps) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[OldClient]:
    with old_client(gateway.address) as client:
        yield client


def test_every_method_of_the_last_release_still_does_what_it_did(client: OldClient) -> None:
    assert [app.name for app in client.unary("AppService.ListApps").apps] == ["hurried", "probe"]
    assert client.unary("AppService.GetApp", app="probe").app.name == "probe"
    answer = client.run("probe", session="new", text="ü", number=2**53 + 1)
    assert json.loads(answer.output_json) == {"calls": 1, "input": {"text": "ü", "number": 2**53 + 1}}
    session = answer.session_id
    assert json.loads(client.run("probe", session=session).output_json)["calls"] == 2
    read = client.unary("SessionService.GetSession", session_id=session).session
    assert (read.id, read.call_count) == (session, 2)
    assert read.status == client.baseline.number("SESSION_STATUS_ACTIVE")
    listed = client.unary("SessionService.ListSessions", status=read.status, app="probe")
    assert [one.id for one in listed.sessions] == [session]
    renewed = client.unary("SessionService.Keepalive", session_id=session).session
    assert renewed.expires_at.ToNanoseconds() >= read.expires_at.ToNanoseconds()
    (kept, unknown) = client.stream("SessionService.StreamKeepalive", session_ids=[session, NOBODY])
    assert (kept.session_id, kept.WhichOneof("outcome")) == (session, "session")
    assert unknown.error.code == client.baseline.number("ERROR_CODE_SESSION_NOT_FOUND")
    ended = client.unary("SessionService.EndSession", session_id=session).session
    assert ended.status == client.baseline.number("SESSION_STATUS_ENDED")
    assert ended.end_reason == client.baseline.number("END_REASON_CALLER")
    assert client.called == set(client.baseline.methods)


def test_a_struct_goes_in_and_comes_out(client: OldClient) -> None:
    request = client.baseline.message("RunRequest", app="probe")
    request.input.update({"word": "ü"})
    answer = client.unary("SessionService.Run", app="probe", input=request.input)
    assert dict(answer.output)["input"]["word"] == "ü"


def test_an_error_is_read_with_the_details_of_the_last_release(client: OldClient) -> None:
    session = client.run("probe", session="new").session_id
    with pytest.raises(Refused) as refused:
        client.run("probe", "fail", session, text="as asked")
    error = refused.value
    assert error.status == grpc.StatusCode.UNKNOWN
    assert error.info.reason == "APP_ERROR"
    assert error.detail.code == client.baseline.number("ERROR_CODE_APP_ERROR")
    assert error.detail.session_id == session
    assert error.detail.run_state == client.baseline.number("RUN_STATE_COMPLETED")
    client.unary("SessionService.EndSession", session_id=session)


def test_a_code_and_a_reason_that_are_newer_than_the_client_are_numbers_beside_a_status_that_it_knows(
    client: OldClient,
) -> None:
    for name in ("ERROR_CODE_CALL_TIMED_OUT", "END_REASON_CALL_TIMED_OUT"):
        with pytest.raises(KeyError):
            client.baseline.number(name)
    session = client.run("hurried", session="new").session_id
    with pytest.raises(Refused) as refused:
        client.run("hurried", "die", session, signal=0)
    error = refused.value
    assert error.status == grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.info.reason == "CALL_TIMED_OUT"
    assert error.detail.code == errors_pb2.ERROR_CODE_CALL_TIMED_OUT
    assert error.detail.run_state == client.baseline.number("RUN_STATE_UNKNOWN")
    read = client.unary("SessionService.GetSession", session_id=session).session
    assert read.status == client.baseline.number("SESSION_STATUS_ENDED")
    assert read.end_reason == errors_pb2.END_REASON_CALL_TIMED_OUT
