"""`sgw app run --stream` and `sgw app test` of functions that stream."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from tests.cli.conftest import APPS, NOBODY_THERE, Sgw, command, completed, eventually
from tests.cli.pseudo_terminal import PseudoTerminal

COUNT = ("app", "run", "counter", "--function", "count", "--stream")
LINGER = ("app", "run", "counter", "--function", "linger", "--stream")
TEXT = "żółw \x9b31m"


def lines(out: bytes) -> list[Any]:
    """Return the documents, one a line."""
    return [json.loads(line) for line in out.splitlines()]


def test_each_partial_output_is_a_line_and_the_result_is_the_last(sgw: Sgw) -> None:
    result = sgw(*COUNT, "--session", "new", "--input", '{"to": 2}')
    assert (result.code, result.err) == (0, "")
    *partials, last = lines(result.out)
    assert partials == [{"partial": {"number": number, "text": TEXT}} for number in (1, 2)]
    assert last["result"]["output"] == {"total": 2}
    assert last["result"]["session_id"] == last["result"]["session"]["id"]
    assert set(last["result"]) == {"session_id", "output", "call_id", "session"}


def test_a_function_that_does_not_stream_has_one_line(sgw: Sgw) -> None:
    (only,) = lines(sgw("app", "run", "kv", "--function", "keys", "--stream").out)
    assert "total" in only["result"]["output"]


def test_without_stream_a_generator_gives_its_result_alone(sgw: Sgw) -> None:
    assert sgw("app", "run", "counter", "--function", "count", "--input", '{"to": 2}').json["output"] == {"total": 2}


def test_an_error_after_some_outputs_goes_to_standard_error(sgw: Sgw) -> None:
    result = sgw("app", "run", "counter", "--function", "give_up", "--stream")
    assert result.code == 4
    assert lines(result.out) == [{"partial": {"number": 1}}]
    assert "error: APP_ERROR\n" in result.err
    assert "ValueError: enough" in result.err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error_code"),
    [
        (["counter", "--function", "count"], 2, "INVALID_INPUT"),
        (["nothing"], 3, "APP_NOT_FOUND"),
        (["counter", "--address", NOBODY_THERE], 5, "UNAVAILABLE"),
        (["counter", "--function", "linger", "--timeout", "1"], 5, "DEADLINE_EXCEEDED"),
    ],
)
def test_errors_are_those_of_a_call_without_stream(
    sgw: Sgw, arguments: list[str], exit_code: int, error_code: str
) -> None:
    result = sgw("app", "run", *arguments, "--stream")
    assert (result.code, f"error: {error_code}\n" in result.err) == (exit_code, True), result.err


def test_outputs_are_written_when_they_come_and_ctrl_c_cancels_in_the_app(
    gateway: GatewayProcess, environment: None
) -> None:
    ended = gateway.log.count("counter ended")
    with subprocess.Popen(command(*LINGER), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"partial": {"number": 0}}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert b"the call of counter was cancelled" in err
    assert b"It may have been applied" in err
    assert b"Traceback" not in err
    eventually(lambda: gateway.log.count("counter ended") > ended)


def test_a_reader_that_goes_away_ends_the_call_without_a_message(gateway: GatewayProcess, environment: None) -> None:
    ended = gateway.log.count("counter ended")
    forever = command(*LINGER, "--input", '{"forever": true}')
    with subprocess.Popen(forever, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline()) == {"partial": {"number": 0}}
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1
    eventually(lambda: gateway.log.count("counter ended") > ended)


def test_people_see_a_line_for_each_output_and_then_the_result(terminal: Callable[..., PseudoTerminal]) -> None:
    screen = terminal(*COUNT, "--session", "new", "--input", '{"to": 2}')
    assert screen.wait() == 0
    first, second, *result, session = screen.text.splitlines()
    assert first == '{"number": 1, "text": "żółw \\x9b31m"}'
    assert second.startswith('{"number": 2')
    assert result == ["{", '  "total": 2', "}"]
    assert session.startswith("sess_")
    assert b"\xc2\x9b" not in screen.raw


def test_people_see_an_output_at_once_and_can_cancel(terminal: Callable[..., PseudoTerminal]) -> None:
    screen = terminal(*LINGER)
    eventually(lambda: '{"number": 0}' in screen.text)
    screen.interrupt()
    assert screen.wait() == 130
    assert "the call of counter was cancelled" in screen.text
    assert "calling counter" not in screen.text


def test_with_json_a_terminal_gets_the_lines(terminal: Callable[..., PseudoTerminal]) -> None:
    screen = terminal(*COUNT, "--input", '{"to": 1}', "--json")
    assert screen.wait() == 0
    assert screen.text.startswith('{"partial": {"number": 1')
    assert b"\x1b" not in screen.raw


def test_an_app_is_shown_with_what_its_functions_yield(terminal: Callable[..., PseudoTerminal], sgw: Sgw) -> None:
    screen = terminal("app", "show", "counter")
    assert screen.wait() == 0
    assert "count  (streams)" in screen.text
    text = " ".join(screen.text.split())
    assert "yields number integer The number that was reached." in text
    assert "returns total integer How many numbers there were." in text
    functions = {function["name"]: function for function in sgw("app", "show", "counter").json["functions"]}
    assert functions["count"]["streams"] is True
    assert functions["count"]["partial_schema"]["required"] == ["number", "text"]
    (kv_keys,) = (each for each in sgw("app", "show", "kv").json["functions"] if each["name"] == "keys")
    assert (kv_keys["streams"], kv_keys["partial_schema"]) == (False, {})


def test_a_trial_has_lines_of_partial_outputs_before_the_answer(sgw: Sgw, tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    calls.write_text('{"function": "count", "input": {"to": 2}}\n{"function": "give_up"}\n')
    result = sgw("app", "test", str(APPS / "counter"), str(calls))
    assert result.code == 4
    first, second, total, once, error = lines(result.out)
    assert first == {"line": 1, "function": "count", "partial": {"number": 1, "text": TEXT}}
    assert second["partial"]["number"] == 2
    assert total == {"line": 1, "function": "count", "output": {"total": 2}}
    assert once == {"line": 2, "function": "give_up", "partial": {"number": 1}}
    assert error["error"]["code"] == "APP_ERROR"


def test_a_trial_refuses_a_partial_output_that_a_gateway_would(environment: None, tmp_path: Path) -> None:
    app = tmp_path / "big"
    app.mkdir()
    (app / "app.py").write_text(
        "from sessiongateway.app import BaseApp\n"
        "class App(BaseApp):\n"
        "    def run(self):\n"
        "        yield {'text': 'x' * 5_000_000}\n"
    )
    done = completed("app", "test", str(app), input=b"{}\n")
    (answer,) = lines(done.stdout)
    assert answer["error"]["app_failure"]["type"] == "OutputTooLarge"
