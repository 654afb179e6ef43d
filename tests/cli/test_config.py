"""`sgw config show` and `sgw config check`: the settings of `sgw serve`, without a gateway."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.commands.serve import flag_names, serve
from gateway.config import setting_paths
from tests.cli.conftest import Sgw
from tests.cli.pseudo_terminal import PseudoTerminal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text("[workers]\nmin_idle = 1\nmax_workers = 7\n")
    return path


def test_every_setting_is_shown_with_its_origin(sgw: Sgw, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGW_WORKERS_MAX_WORKERS", "8")
    flags = ("--log-level", "debug", "--app", "kv=somewhere", "--listen", "0.0.0.0:1")
    result = sgw("config", "show", "--config", str(file), *flags)
    assert (result.code, result.err) == (0, "")
    found = {each.pop("setting"): each for each in result.json["settings"]}
    assert found["workers.min_idle"] == {"value": 1, "origin": "file", "where": f"{file}:2"}
    assert found["workers.max_workers"] == {"value": 8, "origin": "environment", "where": "SGW_WORKERS_MAX_WORKERS"}
    assert found["log.level"] == {"value": "debug", "origin": "flag", "where": "--log-level"}
    assert found["apps.kv"] == {"value": "somewhere", "origin": "flag", "where": "--app"}
    assert found["log.format"] == {"value": "text", "origin": "default", "where": None}
    assert {*found, "apps"} - {"apps.kv"} == set(setting_paths())


def test_at_a_terminal_it_is_a_table(terminal: Callable[..., PseudoTerminal], file: Path) -> None:
    screen = terminal("config", "show", "--config", str(file), "--insecure")
    assert screen.wait() == 0
    # Not what is on the screen: there are more settings than lines.
    written = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", screen.raw).decode()
    lines = [line.split() for line in written.splitlines()]
    assert ["SETTING", "VALUE", "ORIGIN"] in lines
    assert ["server.insecure", "true", "flag", "--insecure"] in lines
    assert ["metrics.address", "-", "default"] in lines
    assert ["workers.max_workers", "7", "file"] in [line[:3] for line in lines]


@pytest.mark.parametrize("command", ["show", "check"])
def test_all_mistakes_are_told_with_their_places(sgw: Sgw, file: Path, command: str) -> None:
    file.write_text("[workers]\nmin_idle = -1\nmax_wokers = 1\n")
    result = sgw("config", command, "--config", str(file), "--processes", "many")
    assert (result.code, result.out) == (2, b"")
    assert f"  {file}:2: workers.min_idle: must be at least 0, not -1\n" in result.err
    assert f"  {file}:3: workers.max_wokers: no setting has this name; did you mean max_workers?\n" in result.err
    assert '  --processes: must be a whole number, not "many"\n' in result.err


def test_mistakes_are_told_to_programs_too(sgw: Sgw, file: Path) -> None:
    result = sgw("config", "check", "--config", str(file), "--listen", "nowhere", "--json")
    assert (result.code, result.out) == (2, b"")
    error = json.loads(result.err)["error"]
    assert (error["code"], error["exit_code"]) == ("USAGE", 2)
    assert "--listen: must be HOST:PORT" in error["message"]


def test_an_address_that_serve_refuses_is_refused_in_the_same_words(
    sgw: Sgw, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[server]\nlisten = "0.0.0.0:0"\n')
    checked = sgw("config", "check", "--config", str(file))
    assert (checked.code, checked.out) == (2, b"")
    refused = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "serve", "--config", file, "--data-dir", tmp_path / "data"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    why = refused.stderr.strip().removeprefix("sgw serve: ")
    assert "nothing would be encrypted" in why
    assert f"  {file}:2: server.listen: {why}\n" in checked.err
    monkeypatch.setenv("SGW_SERVER_INSECURE", "true")
    assert sgw("config", "check", "--config", str(file)).code == 0


def test_settings_that_can_be_used_are_checked_without_a_word(sgw: Sgw, file: Path) -> None:
    result = sgw("config", "check", "--config", str(file), "--max-workers", "3")
    assert (result.code, result.out, result.err) == (0, b"", "")


def test_every_flag_of_serve_sets_a_setting_and_is_a_flag_of_these_commands(sgw: Sgw) -> None:
    options = {option.name: option.opts[0] for option in serve.params} | {"help": "--help"}
    names = flag_names()
    assert set(options.values()) - set(names.values()) == {"--config", "--help"}
    assert set(names) <= set(setting_paths())
    for command in ("show", "check"):
        text = sgw("config", command, "--help").out.decode()
        assert [flag for flag in names.values() if f"{flag} " not in text] == []
