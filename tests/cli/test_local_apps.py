"""`sgw app list`, `show`, `deploy` and `test`."""

import json
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from tests.cli.conftest import APPS, EXAMPLES, Sgw, command, completed, eventually

KV = EXAMPLES / "kv"


@pytest.fixture
def calls(tmp_path: Path) -> Any:
    """Write calls to a file."""

    def write(*lines: object) -> str:
        file = tmp_path / "calls.jsonl"
        file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return str(file)

    return write


def answers(out: bytes) -> list[dict[str, Any]]:
    """Return the documents, one a line."""
    return [json.loads(line) for line in out.splitlines()]


def test_list_has_every_app_by_name(sgw: Sgw) -> None:
    apps = sgw("app", "list").json["apps"]
    assert [app["name"] for app in apps] == sorted(app["name"] for app in apps)
    kv = next(app for app in apps if app["name"] == "kv")
    assert (kv["default_function"], kv["versions"]) == ("run", [kv["version"]])


def test_show_has_the_functions_with_their_schemas(sgw: Sgw) -> None:
    kv = sgw("app", "show", "kv").json
    by_name = {function["name"]: function for function in kv["functions"]}
    assert by_name["set_value"]["input_schema"]["required"] == ["key", "value"]
    assert by_name["set_value"]["description"]
    assert sgw("app", "show", "nothing").code == 3


def test_a_deployed_app_is_served_from_the_next_call_on(sgw: Sgw, gateway: GatewayProcess) -> None:
    result = sgw("app", "deploy", str(KV), "--name", "deployed/kv", "--data-dir", str(gateway.data_dir))
    assert result.code == 0, result.err
    assert result.json["app"] == "deployed/kv"
    assert "get_value" in {function["name"] for function in result.json["functions"]}
    pinned = f"deployed/kv@{result.json['version']}"
    assert sgw("app", "run", pinned, "--session", "new").json["session"]["version"] == result.json["version"]


def test_the_same_content_is_the_same_version(sgw: Sgw, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(KV, copy)
    deploy = ("app", "deploy", "--no-check", "--name", "kv", "--data-dir", str(tmp_path / "data"))
    first, second = sgw(*deploy, str(KV)).json, sgw(*deploy, str(copy)).json
    assert first == second
    assert first["functions"] is None
    (copy / "more.py").write_text("")
    assert sgw(*deploy, str(copy)).json["version"] != first["version"]


def test_an_app_for_a_gateway_that_never_was_is_deployed_with_a_word_on_the_directory(sgw: Sgw, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    first, second = (sgw("app", "deploy", str(KV), "--data-dir", str(data_dir)) for _ in range(2))
    assert (first.code, first.err) == (0, f"made the data directory {data_dir}: no gateway has used it yet\n")
    assert (second.code, second.err) == (0, "")


def test_an_app_that_cannot_be_imported_is_not_deployed_unless_asked_to(sgw: Sgw, tmp_path: Path) -> None:
    deploy = ("app", "deploy", str(APPS / "broken"), "--data-dir", str(tmp_path / "data"))
    refused = sgw(*deploy)
    assert refused.code == 4
    assert "APP_START_FAILED" in refused.err
    assert "module_that_is_not_there" in refused.err
    assert not (tmp_path / "data").exists()
    assert sgw(*deploy, "--no-check").code == 0


def test_a_data_directory_is_made_for_its_user_alone_and_keeps_the_mode_that_it_has(sgw: Sgw, tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    deploy = ("app", "deploy", "--no-check", str(KV), "--data-dir", str(data_dir))
    for mode in (0o700, 0o750):
        assert sgw(*deploy).code == 0
        assert stat.S_IMODE(data_dir.stat().st_mode) == mode
        data_dir.chmod(0o750)


@pytest.mark.parametrize(
    ("directory", "flags", "complaint"),
    [
        ("no/such/directory", [], "does not exist"),
        (str(APPS), [], "no app.py"),
        (str(KV), ["--name", "a b"], "not an app's name"),
        (str(KV), ["--config", "no/such.toml"], "No such file"),
    ],
)
def test_what_cannot_be_deployed_is_a_wrong_command_line(
    sgw: Sgw, tmp_path: Path, directory: str, flags: list[str], complaint: str
) -> None:
    result = sgw("app", "deploy", directory, *flags, "--data-dir", str(tmp_path))
    assert result.code == 2
    assert complaint in result.err


def test_calls_are_played_on_one_instance(sgw: Sgw, calls: Any) -> None:
    file = calls(
        {"function": "set_value", "input": {"key": "ключ", "value": 2**60 + 1}},
        "",
        {"function": "get_value", "input": {"key": "ключ"}},
        {"input": {"action": "the default function"}},
    )
    result = sgw("app", "test", str(KV), file)
    assert result.code == 0, result.err
    assert [(each["line"], each["function"]) for each in answers(result.out)] == [
        (1, "set_value"),
        (3, "get_value"),
        (4, None),
    ]
    assert answers(result.out)[1]["output"] == {"value": 2**60 + 1, "found": True}
    assert answers(result.out)[2]["output"]["action"] == "the default function"


def test_what_fails_is_told_with_its_code_and_the_rest_goes_on(sgw: Sgw, calls: Any) -> None:
    file = calls(
        {"function": "get_value", "input": {"kex": 1}},
        {"function": "nothing"},
        {"function": "keys", "input": [1]},
        '{"function": "keys", "input": {"limit": NaN}}',
        "not JSON",
        {"fun": "keys"},
        {"function": "keys"},
    )
    result = sgw("app", "test", str(KV), file)
    assert result.code == 2
    found = answers(result.out)
    assert [each.get("error", {}).get("code") for each in found] == [
        "INVALID_INPUT",
        "FUNCTION_NOT_FOUND",
        *["INVALID_REQUEST"] * 4,
        None,
    ]
    assert {each["field"] for each in found[0]["error"]["fields"]} == {"input.key", "input.kex"}


def test_an_exception_and_a_death_of_the_process_are_told(sgw: Sgw, calls: Any) -> None:
    result = sgw("app", "test", str(APPS / "faulty"), calls(*({"function": f} for f in ("boom", "die", "where"))))
    assert result.code == 4
    raised, lost, later = (each["error"] for each in answers(result.out))
    assert (raised["code"], raised["app_failure"]["type"]) == ("APP_ERROR", "ValueError")
    assert (lost["code"], lost["worker_exit"]) == ("WORKER_LOST", {"signal": 9})
    assert later["code"] == "SESSION_ENDED"
    assert "before the boom" in result.err


def test_the_app_sees_a_directory_and_an_environment_of_its_own(
    sgw: Sgw, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    output = answers(sgw("app", "test", str(APPS / "faulty"), calls({"function": "where"})).out)[0]["output"]
    assert not Path(output["directory"]).exists()
    assert "SECRET" not in output["environment"]


def test_an_app_that_does_not_start_is_told_once(sgw: Sgw, calls: Any) -> None:
    result = sgw("app", "test", str(APPS / "broken"), calls({}))
    assert result.code == 4
    assert result.out == b""
    assert result.err.count("error: APP_START_FAILED") == 1


def test_calls_come_from_standard_input_one_by_one(environment: None) -> None:
    with subprocess.Popen(command("app", "test", str(KV)), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(b"{}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["output"]["calls"] == number
        process.stdin.close()
        assert process.wait(20) == 0


def test_ctrl_c_stops_a_trial_and_leaves_no_process(environment: None, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("app", "test", str(APPS / "faulty")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "", "TMPDIR": str(tmp_path)},
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b'{"function": "linger"}\n')
    process.stdin.flush()
    assert process.stderr.readline() == b"lingering\n"
    eventually(lambda: list(tmp_path.glob("*/run/wrk_*")))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_a_wrong_command_line(environment: None) -> None:
    result = completed("app", "test", str(KV), "no/such.jsonl")
    assert result.returncode == 2
