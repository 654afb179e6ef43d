"""`sgw` against a real gateway, as a function call or as a process on a pseudo-terminal."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.root import run
from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import until
from tests.cli.pseudo_terminal import PseudoTerminal

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
EXAMPLES = ROOT / "examples"
NOBODY_THERE = "127.0.0.1:1"
DEADLINE = 20.0


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        """Its one document."""
        return json.loads(self.out)


Sgw = Callable[..., Result]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One gateway for all tests: they use sessions of their own."""
    apps = {"kv": EXAMPLES / "kv", "faulty": APPS / "faulty", "broken": APPS / "broken", "counter": APPS / "counter"}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), apps) as process:
        yield process


@pytest.fixture
def environment(gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SGW_")] + ["NO_COLOR", "FORCE_COLOR"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SGW_ADDRESS", gateway.address)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def sgw(environment: None, capfdbinary: pytest.CaptureFixture[bytes]) -> Sgw:
    """Run a command line in this process, its output into a pipe."""

    def command(*arguments: str) -> Result:
        capfdbinary.readouterr()
        code = run(arguments)
        out, err = capfdbinary.readouterr()
        return Result(code, out, err.decode())

    return command


@pytest.fixture
def new_session(sgw: Sgw) -> Callable[[], str]:
    """Start a session of kv and return its id."""
    return lambda: str(sgw("app", "run", "kv", "--session", "new").json["session_id"])


@pytest.fixture
def terminal(environment: None) -> Iterator[Callable[..., PseudoTerminal]]:
    """Start `sgw` on a pseudo-terminal."""
    started: list[PseudoTerminal] = []

    def start(*arguments: str, **variables: str) -> PseudoTerminal:
        started.append(PseudoTerminal(command(*arguments), variables))
        return started[-1]

    yield start
    for each in started:
        each.close()


def command(*arguments: str) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "gateway.cli", *arguments]


def completed(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `sgw` as a process of its own."""
    return subprocess.run(command(*arguments), capture_output=True, timeout=DEADLINE, check=False, **options)


def eventually(condition: Callable[[], object]) -> None:
    """Wait until something is true. Raises TimeoutError if it does not become so."""
    asyncio.run(until(condition, DEADLINE))
