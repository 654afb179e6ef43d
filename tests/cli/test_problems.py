"""The table of advice, and how an error is told."""

import json

import pytest

import sessiongateway
from gateway.cli import problems
from gateway.cli.advice import BY_CODE, RUN_STATES, UNKNOWN, advice_for
from gateway.cli.exits import Exit
from gateway.workers.containment.choice import UNAVAILABLE
from sessiongateway.v1 import errors_pb2

CODES = [name.removeprefix("ERROR_CODE_") for name in errors_pb2.ErrorCode.keys()[1:]]


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_the_contract_has_a_meaning_and_something_to_do(code: str) -> None:
    advice = BY_CODE[code]
    assert advice.meaning.endswith(".")
    assert advice.do
    assert advice.exit is not Exit.OK


def test_every_run_state_of_the_contract_has_a_sentence() -> None:
    names = {name.removeprefix("RUN_STATE_").lower() for name in errors_pb2.RunState.keys()[1:]}
    assert set(RUN_STATES) == names


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["SESSION_NOT_FOUND", "SESSION_EXPIRED", "SESSION_ENDED", "APP_MISMATCH", "VERSION_MISMATCH"], 3),
        (["INVALID_REQUEST", "INVALID_INPUT"], 2),
        (["APP_ERROR", "APP_START_FAILED", "WORKER_LOST"], 4),
        (["UNAVAILABLE", "GATEWAY_DRAINING", "DEADLINE_EXCEEDED"], 5),
        (["SESSION_BUSY", "NO_WORKER_AVAILABLE", "QUOTA_EXCEEDED", "WORKER_LEASED"], 6),
        (["UNAUTHENTICATED", "PERMISSION_DENIED"], 7),
        (["INTERNAL", "A_CODE_OF_THE_FUTURE"], 1),
    ],
)
def test_exit_codes_tell_kinds_of_errors_apart(codes: list[str], expected: int) -> None:
    assert {int(advice_for(code).exit) for code in codes} == {expected}


def test_a_code_of_a_newer_gateway_is_told_with_its_message(capfd: pytest.CaptureFixture[str]) -> None:
    error = sessiongateway.SessionGatewayError("the moon is full", code="MOON_FULL", run_state="not_started")
    problems.report(problems.of_gateway(error), as_json=False)
    told = capfd.readouterr().err
    assert "error: MOON_FULL\n  the moon is full\n" in told
    assert UNKNOWN.meaning in told


def test_a_hint_to_wait_and_the_ids_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    error = sessiongateway.SessionBusyError("busy", retry_after=1.5, session_id="sess_a", call_id="call_b")
    problems.report(problems.of_gateway(error), as_json=False)
    told = capfd.readouterr().err
    assert "Wait 1.5 s before sending it again." in told
    assert "session_id sess_a, call_id call_b" in told


def test_an_error_id_is_told_to_people_and_programs(capfd: pytest.CaptureFixture[str]) -> None:
    problem = problems.of_gateway(sessiongateway.InternalError("internal error e1", error_id="e1"))
    problems.report(problem, as_json=False)
    assert "error_id e1" in capfd.readouterr().err
    problems.report(problem, as_json=True)
    assert json.loads(capfd.readouterr().err)["error"]["error_id"] == "e1"


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_who_is_not_let_in_is_told_of_keys_tokens_and_certificates(code: str) -> None:
    assert all(way in advice_for(code).do for way in ("key", "token", "certificate"))


def test_who_shows_a_certificate_is_told_to_send_no_key_besides() -> None:
    assert all(word in advice_for("UNAUTHENTICATED").do for word in ("--api-key", "--tls-cert", "send no key"))


@pytest.mark.parametrize(("exception_type", "of_the_app"), [(UNAVAILABLE, False), ("ImportError", True)])
def test_isolation_that_the_machine_cannot_give_is_no_fault_of_the_app(exception_type: str, of_the_app: bool) -> None:
    error = sessiongateway.AppStartFailedError("kv does not start", type=exception_type, app_message="no bwrap")
    problem = problems.of_gateway(error)
    assert problem.exit is Exit.APP_FAILED
    assert ("mend the app" in problem.advice.do) is of_the_app
    assert ("workers.isolation" in problem.advice.do) is not of_the_app
    assert problem.document()["do"] == problem.advice.do
