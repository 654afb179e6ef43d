"""`sgw doctor`: what it says at a terminal and to programs, and its exit codes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from tests.cli.conftest import APPS, EXAMPLES, NOBODY_THERE, Sgw
from tests.cli.pseudo_terminal import PseudoTerminal


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory about which there is nothing to say."""
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path / "data"


def found_by(sgw: Sgw, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code, and the findings by their checks."""
    result = sgw("doctor", *arguments)
    assert result.err == ""
    findings = result.json["findings"]
    for status in ("ok", "warning", "failed", "skipped"):
        assert result.json[status] == sum(finding["status"] == status for finding in findings)
    return result.code, {finding["check"]: finding for finding in findings}


def test_an_installation_with_a_gateway_is_looked_at_as_a_whole(sgw: Sgw, gateway: GatewayProcess) -> None:
    session = sgw("app", "run", "kv", "--session", "new").json["session_id"]
    code, found = found_by(sgw, "--data-dir", str(gateway.data_dir))
    assert code == 0
    assert [name for name in found if found[name]["status"] == "failed"] == []
    assert found["data directory in use"]["message"].endswith(str(gateway.pid))
    assert [found[name]["status"] for name in ("store", "gateway", "health", "authentication", "clock")] == ["ok"] * 5
    assert sgw("session", "get", session).json["status"] == "active"
    sgw("session", "end", session)


def test_what_has_failed_is_told_with_what_to_do_and_the_exit_code(sgw: Sgw, tmp_path: Path, data_dir: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'[apps]\nkv = "{EXAMPLES}/kv"\nbroken = "{APPS}/broken"\n[workers]\nmin_idel = 1\n')
    code, found = found_by(sgw, "--config", str(file), "--data-dir", str(data_dir), "--address", NOBODY_THERE)
    assert code == 1
    assert found["settings"]["message"].startswith(f"{file}:5: workers.min_idel: no setting has this name")
    assert found["app kv"]["status"] == "ok"
    assert found["app broken"]["status"] == "failed"
    assert "sgw app test" in found["app broken"]["do"]
    assert found["gateway"]["message"] == f"nothing listens at {NOBODY_THERE}"
    assert {found[name]["status"] for name in ("health", "authentication", "clock")} == {"skipped"}


def test_flags_of_serve_count_as_they_do_there(sgw: Sgw, data_dir: Path) -> None:
    store = ("--store", f"unix://{data_dir}/no.sock", "--cluster-listen", "192.0.2.1:1")
    own = ("--app", f"kv={EXAMPLES}/kv", "--listen", "0.0.0.0:0", "--processes", "2", "--max-workers", "1000000000")
    code, found = found_by(sgw, "--data-dir", str(data_dir), *store, "--address", NOBODY_THERE)
    assert (code, found["store"]["status"], found["gateways"]["status"]) == (1, "failed", "skipped")
    code, found = found_by(sgw, "--data-dir", str(data_dir), *own, "--address", NOBODY_THERE)
    assert (code, found["address"]["status"], found["app kv"]["status"]) == (1, "failed", "ok")
    assert found["memory"]["status"] == "warning"
    assert "for 2 gateway processes" in found["processors"]["message"] or "2 gateway" in found["processors"]["message"]
    mistaken = found_by(sgw, "--data-dir", str(data_dir), "--pool", "raj")[1]["settings"]
    assert mistaken["message"].startswith("--pool: must be local or ray")


def test_warnings_count_only_if_they_are_to(sgw: Sgw, data_dir: Path) -> None:
    data_dir.chmod(0o750)
    code, found = found_by(sgw, "--data-dir", str(data_dir))
    assert (code, found["permissions"]["status"]) == (0, "warning")
    assert found["permissions"]["do"] == f"chmod 700 {data_dir}"
    assert found_by(sgw, "--data-dir", str(data_dir), "--strict")[0] == 1


def test_at_a_terminal_each_finding_is_a_line_with_what_to_do_below(
    terminal: Callable[..., PseudoTerminal], data_dir: Path
) -> None:
    data_dir.chmod(0o707)
    screen = terminal("doctor", "--data-dir", str(data_dir))
    assert screen.wait() == 1
    lines = [line.rstrip() for line in screen.text.splitlines()]
    assert f"failed   permissions: everybody may write to {data_dir}, and so have code run"[:60] in screen.text
    assert any(line.startswith("ok       python: Python 3") for line in lines)
    assert any(line.startswith(f"         chmod 700 {data_dir}"[:50]) for line in lines)
    assert "1 failed" in lines[-1]


def test_files_of_tls_that_cannot_be_used_are_a_mistake_of_usage(sgw: Sgw, tmp_path: Path) -> None:
    assert sgw("doctor", "--tls-cert", os.devnull).code == 2
    result = sgw("doctor", "--tls-ca", str(tmp_path / "none"))
    assert (result.code, result.out) == (2, b"")
    assert "none: No such file" in result.err
