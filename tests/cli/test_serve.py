"""`sgw serve`: from the command line to the settings."""

import signal
import subprocess
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from tests.cli.conftest import EXAMPLES, Sgw, command, completed

KV = EXAMPLES / "kv"


def test_the_last_version_given_is_the_current_one(sgw: Sgw, tmp_path: Path) -> None:
    apps = {"kv@2": KV, "kv@1": KV, "acme/kv": KV}
    with GatewayProcess(tmp_path, apps) as gateway:
        listed = sgw("app", "list", "--address", gateway.address).json["apps"]
    assert [(app["name"], app["versions"]) for app in listed if app["name"] == "kv"] == [("kv", ["1", "2"])]
    assert "acme/kv" in {app["name"] for app in listed}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--app", f"kv={KV}", "--app", f"kv={KV}"], "kv is given twice"),
        (["--app", "kv"], "'kv' is not NAME=PATH"),
        (["--app", f"={KV}"], "is not NAME=PATH"),
        (["--listen", "nowhere"], "--listen: must be HOST:PORT"),
        (["--config", "no/such.toml"], "No such file"),
    ],
)
def test_a_wrong_flag_is_told_before_anything_starts(
    environment: None, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    result = completed("serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path), *arguments)
    assert result.returncode == 2
    assert complaint in result.stderr.decode()
    assert result.stdout == b""


def test_all_settings_that_are_wrong_are_told_at_once(environment: None, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[workers]\nmin_idle = -1\nnonsense = 1\n")
    flags = ("--max-workers", "many", "--log-level", "loud", "--drain-grace", "-1")
    result = completed("serve", "--config", str(file), *flags)
    assert result.returncode == 2
    told = [f"{file}:2: workers.min_idle: ", f"{file}:3: workers.nonsense: "]
    for place in (*told, "--max-workers: ", "--log-level: ", "--drain-grace: "):
        assert f"  {place}" in result.stderr.decode()


def test_flags_win_over_the_file(sgw: Sgw, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[workers]\nmax_workers = 7\n[server]\nlisten = "wrong"\n')
    with GatewayProcess(tmp_path / "data", {"kv": KV}, ["--config", str(file), "--max-workers", "1"]) as gateway:
        to = ("--address", gateway.address)
        assert sgw("app", "run", "kv", "--session", "new", *to).code == 0
        full = sgw("app", "run", "kv", "--session", "new", "--timeout", "0.5", *to)
    assert full.code in (5, 6)


def test_an_app_without_app_py_is_told(sgw: Sgw, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"), "--app", f"empty={tmp_path}/empty")
    result = subprocess.run(command("serve", *arguments), capture_output=True, timeout=20, check=False)
    assert result.returncode == 1
    assert b"no app.py" in result.stderr


def test_ctrl_c_is_a_clean_end(environment: None, tmp_path: Path) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path))
    process = subprocess.Popen(command("serve", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"listening on 127.0.0.1:")
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"Traceback" not in log
