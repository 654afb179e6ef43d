"""What `make demo` and `make serve` run."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT
from tools.demo import main
from tools.stage import Stage

PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SGW_")}
    return {**kept, "TMPDIR": str(tmp_path)}


def processes_below(directory: Path) -> Iterator[str]:
    """Yield the processes whose working directory is there: the workers of a gateway whose files are there."""
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink().is_relative_to(directory):
                yield entry.parent.name
        except OSError:
            continue


def test_the_demo_plays_to_its_end_and_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    played = subprocess.run(
        [sys.executable, "-m", "tools.demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert played.returncode == 0, played.stderr + played.stdout
    assert "steps went as they should" in played.stdout
    assert list(tmp_path.iterdir()) == []
    assert list(processes_below(tmp_path)) == []
    address = re.search(r"listening on ([\d.]+):(\d+)", played.stdout)
    assert address
    with pytest.raises(ConnectionRefusedError), socket.create_connection((address[1], int(address[2]))):
        pass


def test_the_demo_of_several_gateways_plays_to_its_end_and_leaves_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    played = _demo_cluster({**environment, "GATEWAYS": "processes"})
    assert played.returncode == 0, played.stderr + played.stdout
    assert "All 5 steps went as they should" in played.stdout
    assert "or a_minute_is_over():" in played.stdout
    assert list(tmp_path.iterdir()) == []
    assert list(processes_below(tmp_path)) == []


def test_the_demo_of_several_gateways_says_what_is_missing(environment: dict[str, str], tmp_path: Path) -> None:
    for gateways in ("cluster", "gateways"):
        played = _demo_cluster({**environment, "GATEWAYS": gateways, "PATH": str(tmp_path)})
        assert played.returncode == 1
        assert re.fullmatch(r"demo-cluster: .*(this release has no|: install ).*\n", played.stderr)
        assert played.stdout == ""
    assert _demo_cluster({**environment, "GATEWAYS": "nonsense"}).returncode == 2


def _demo_cluster(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.demo_cluster"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _wrong_exit_code(stage: Stage) -> None:
    stage.heading("A step of a test")
    stage.sgw("app", "list", exit_code=3)


def _wrong_words(stage: Stage) -> None:
    stage.heading("A step of a test")
    stage.expect_words(stage.sgw("app", "list"), "no such words")


def _exception(stage: Stage) -> None:
    stage.heading("A step of a test")
    stage.python("1 / 0", {})


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (_wrong_exit_code, "expected exit code 3, not 0"),
        (_wrong_words, "expected 'no such words' in the answer"),
        (_exception, "ZeroDivisionError"),
    ],
)
def test_a_step_that_goes_otherwise_ends_the_demo_with_its_name(
    step: object, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(step)
    assert main([step]) == 1
    told = capfd.readouterr().err
    assert "FAILED in step 1, A step of a test" in told
    assert reason in told


def test_the_lines_that_serve_prints_can_be_pasted(environment: dict[str, str], tmp_path: Path) -> None:
    arguments = ["--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    serving = subprocess.Popen(
        [sys.executable, "-m", "tools.serve", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        lines = list(iter(serving.stdout.readline, "Ctrl-C stops the gateway and ends its sessions.\n"))
        pasted = [line.strip() for line in lines if line.strip().startswith(("export ", "sgw ", "buf "))]
        assert len(pasted) == 5
        script = "set -e\n" + "\n".join(pasted)
        ran = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.count(b"sess_") > 2
    finally:
        serving.send_signal(signal.SIGTERM)
        _, log = serving.communicate(timeout=30)
    assert serving.returncode == 0, log
