"""Chaos as it is played, with a real gateway: what is well is told to be well, and what is not is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.conftest import told
from tools.chaos import report
from tools.chaos.ledger import Ledger
from tools.chaos.one_gateway import OneGateway
from tools.chaos.play import play
from tools.chaos.processes import Processes
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(180)


class Faulty(OneGateway):
    """One gateway with a faulty app."""

    apps = {"chaos": Path(__file__).parent / "faulty"}  # noqa: RUF012  # never changed


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c")


def test_an_app_that_forgets_and_repeats_itself_is_found(scratch: Path, tally: Tally, troubles: Troubles) -> None:
    play(Faulty(scratch, tally, troubles), Ledger(scratch / "ledger"), 1.0)
    assert {"wrong_answers", "run_twice"} <= told(tally).keys()


def test_processes_of_one_machine_play_without_a_fault(scratch: Path, tally: Tally, troubles: Troubles) -> None:
    scene = Processes(scratch, tally, troubles)
    scene.strikes = {name: scene.strikes[name] for name in ("process_kills", "process_pauses")}
    play(scene, Ledger(scratch / "ledger"), 1.0)
    assert tally.remarks == []
    assert all(tally.strikes[name] for name in scene.strikes)
    assert min(tally.calls, tally.sessions, tally.events) > 0


def test_what_was_not_done_misses_its_mark(tally: Tally) -> None:
    rows = {row["name"]: row["ok"] for row in report.figures(tally, ["process_kills"], {"latest_expiry": 0.5})}
    assert not any(rows[name] for name in ("process_kills", *report.MUST_HAPPEN))
    assert all(rows[name] for name in (*report.MUST_BE_ZERO, "latest_expiry"))
    tally.latest_expiry = 0.6
    tally.wrong("orphans", "one")
    rows = {row["name"]: row["ok"] for row in report.figures(tally, [], {"latest_expiry": 0.5})}
    assert not rows["latest_expiry"]
    assert not rows["orphans"]


def played(tmp_path: Path, *modes: str) -> "subprocess.CompletedProcess[str]":
    """Run chaos with no other programs on PATH."""
    environment = {**os.environ, "PATH": str(tmp_path), "CHAOS_SECONDS": "1"}
    command = [sys.executable, "-m", "tools.chaos", *modes]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_mode_for_which_something_is_missing_fails_with_a_word_and_prints_no_figures(tmp_path: Path) -> None:
    done = played(tmp_path, "gateways")
    assert done.returncode == 1
    assert "NOT PLAYED" in done.stdout
    assert "run_twice" not in done.stdout


def test_a_mode_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = played(tmp_path, "gateway", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
