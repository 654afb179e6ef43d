"""`sgw app run`: what scripts get, and what goes wrong."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from tests.cli.conftest import NOBODY_THERE, Sgw, command, completed, eventually


def test_a_plain_call_is_one_document_without_a_session(sgw: Sgw) -> None:
    result = sgw("app", "run", "kv", "--function", "keys", "--input", "{}")
    assert result.code == 0
    assert result.err == ""
    assert result.json["session_id"] == ""
    assert result.json["session"] is None
    assert result.json["output"]["total"] >= 0
    assert result.json["call_id"].startswith("call_")


def test_a_session_keeps_its_state_from_one_command_to_the_next(sgw: Sgw) -> None:
    first = sgw("app", "run", "kv", "--session", "new", "--session-timeout", "300", "--input", '{"key": "value"}').json
    assert first["session"]["session_timeout"] == 300
    assert first["session"]["expires_at"].endswith("Z")
    second = sgw("app", "run", "kv", "--session", first["session_id"], "--input", '{"key2": "value2"}').json
    assert second["session_id"] == first["session_id"]
    assert second["output"]["state"] == {"key": "value", "key2": "value2"}
    assert second["session"]["call_count"] == 2


def test_integers_and_characters_survive(sgw: Sgw) -> None:
    text = '{"n": 900719925474099312345, "żółw": "🐢"}'
    result = sgw("app", "run", "kv", "--session", "new", "--input", text)
    assert result.json["output"]["state"] == json.loads(text)
    assert "🐢".encode() in result.out
    assert b"900719925474099312345" in result.out


def test_characters_survive_a_locale_that_does_not_have_them(environment: None) -> None:
    variables = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = ("--session", "new", "--input", "-")
    result = completed("app", "run", "kv", *arguments, env=variables, input='{"k": "🐢"}'.encode())
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["output"]["state"] == {"k": "🐢"}


def test_text_that_only_escapes_can_hold_is_written_with_escapes(sgw: Sgw) -> None:
    result = sgw("app", "run", "faulty", "--function", "half_a_pair")
    assert b'"\\ud83d"' in result.out


def test_the_input_can_be_a_file_or_standard_input(sgw: Sgw, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('\ufeff{"from": "a file"}', encoding="utf-8")
    assert sgw("app", "run", "kv", "--session", "new", "--input", f"@{file}").json["output"]["state"] == {
        "from": "a file"
    }
    piped = completed("app", "run", "kv", "--session", "new", "--input", "-", input=b'{"from": "a pipe"}')
    assert json.loads(piped.stdout)["output"]["state"] == {"from": "a pipe"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{key: 1}", "is not JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("[1]", "not an array"),
        ('"text"', "not a string"),
        ("null", "not null"),
        ('{"a": "\\ud800"}', "not Unicode"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, "recursion"),
        ("@no/such/file.json", "No such file"),
    ],
)
def test_an_input_that_is_no_object_is_refused_before_anything_is_sent(sgw: Sgw, text: str, complaint: str) -> None:
    result = sgw("app", "run", "kv", "--address", NOBODY_THERE, "--input", text)
    assert result.code == 2
    assert complaint in result.err
    assert result.out == b""


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error_code", "words"),
    [
        (["kv", "--session-timeout", "5"], 2, "INVALID_REQUEST", "session_timeout: "),
        (["kv", "--session", "new", "--session-timeout", "3601"], 2, "INVALID_REQUEST", "session_timeout: "),
        (["kv", "--function", "get_value", "--input", '{"key": 1}'], 2, "INVALID_INPUT", "input.key: "),
        (["nothing"], 3, "APP_NOT_FOUND", "sgw app list"),
        (["kv@nothing"], 3, "VERSION_NOT_FOUND", "sgw app show"),
        (["kv", "--function", "nothing"], 3, "FUNCTION_NOT_FOUND", "--function"),
        (["kv", "--session", "sess_" + "a" * 26], 3, "SESSION_NOT_FOUND", "--session new"),
        (["faulty", "--function", "boom"], 4, "APP_ERROR", "ValueError: no \\x1b[31mred"),
        (["faulty", "--function", "die"], 4, "WORKER_LOST", "It may have been applied"),
        (["broken"], 4, "APP_START_FAILED", "module_that_is_not_there"),
        (["kv", "--address", NOBODY_THERE], 5, "UNAVAILABLE", "sgw serve"),
        (["faulty", "--function", "linger", "--timeout", "0.5"], 5, "DEADLINE_EXCEEDED", "--timeout"),
    ],
)
def test_an_error_is_explained_on_standard_error_and_has_its_exit_code(
    sgw: Sgw, arguments: list[str], exit_code: int, error_code: str, words: str
) -> None:
    result = sgw("app", "run", *arguments)
    assert result.code == exit_code, result.err
    assert result.out == b""
    assert f"error: {error_code}\n" in result.err
    assert words in result.err
    assert "\x1b" not in result.err


def test_an_error_says_whether_the_call_ran(sgw: Sgw) -> None:
    assert "Nothing was applied; sending it again is safe." in sgw("app", "run", "nothing").err
    assert "sending it again runs it a second time" in sgw("app", "run", "faulty", "--function", "boom").err


def test_with_json_an_error_is_one_document_on_standard_error(sgw: Sgw) -> None:
    result = sgw("app", "run", "faulty", "--function", "boom", "--json")
    assert result.out == b""
    error = json.loads(result.err)["error"]
    assert error["code"] == "APP_ERROR"
    assert error["run_state"] == "completed"
    assert error["app_failure"]["type"] == "ValueError"
    assert "boom" in error["app_failure"]["traceback"]
    assert error["exit_code"] == result.code == 4


def test_with_json_a_wrong_command_line_is_one_document_too(sgw: Sgw) -> None:
    result = sgw("app", "run", "kv", "--input", "{", "--json")
    assert json.loads(result.err)["error"]["code"] == "USAGE"
    assert result.code == 2


def test_another_app_and_an_ended_session_are_explained(sgw: Sgw, new_session: Callable[[], str]) -> None:
    session_id = new_session()
    mismatch = sgw("app", "run", "faulty", "--session", session_id)
    assert mismatch.code == 3
    assert "APP_MISMATCH" in mismatch.err
    sgw("session", "end", session_id)
    ended = sgw("app", "run", "kv", "--session", session_id)
    assert ended.code == 3
    assert "SESSION_ENDED" in ended.err


def test_a_worker_of_another_session_is_busy(sgw: Sgw) -> None:
    worker_id = sgw("app", "run", "kv", "--session", "new").json["session"]["worker_id"]
    result = sgw("app", "run", "kv", "--session", "new", "--worker-id", worker_id)
    assert result.code == 6
    assert "WORKER_LEASED" in result.err


def test_a_repeated_request_id_gets_the_first_answer(sgw: Sgw, new_session: Callable[[], str]) -> None:
    again = ("app", "run", "kv", "--session", new_session(), "--request-id", "once", "--input", '{"action": "count"}')
    assert sgw(*again).json["output"] == sgw(*again).json["output"]


def test_an_url_is_told_apart_from_an_address(sgw: Sgw) -> None:
    result = sgw("app", "run", "kv", "--address", "http://127.0.0.1:50151")
    assert result.code == 2
    assert "HOST:PORT" in result.err


def test_ctrl_c_cancels_the_call_in_the_app(gateway: GatewayProcess, environment: None) -> None:
    lingering, cancelled = gateway.log.count("lingering"), gateway.log.count("cancelled")
    process = subprocess.Popen(
        command("app", "run", "faulty", "--function", "linger"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    eventually(lambda: gateway.log.count("lingering") > lingering)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == b""
    assert b"INTERRUPTED" in err
    assert b"the call of faulty was cancelled" in err
    assert b"It may have been applied" in err
    assert b"Traceback" not in err
    eventually(lambda: gateway.log.count("cancelled") > cancelled)


def test_a_reader_that_goes_away_is_no_reason_for_a_message(environment: None) -> None:
    process = subprocess.Popen(command("app", "list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(20) == 1
