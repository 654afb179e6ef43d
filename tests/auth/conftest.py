"""Gateways whose callers need keys."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.testing.gate import Gate, listening_gate
from gateway.testing.process import GatewayProcess
from tests.auth.issuing import issue
from tests.auth.site import Site, opened
from tests.rpc.conftest import needs_nghttp2
from tests.scenarios.conftest import PROBE

KINDS = [
    pytest.param(("nghttp2", "1"), id="nghttp2", marks=needs_nghttp2),
    pytest.param(("grpcio", "1"), id="grpcio"),
    pytest.param(("auto", "2"), id="two processes"),
]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory whose path leaves room for the workers' sockets."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        yield Path(directory) / "data"


@pytest.fixture(scope="module", params=KINDS)
def gateway(request: pytest.FixtureRequest) -> Iterator[GatewayProcess]:
    """A gateway of each kind, which tests share: each makes keys of its own. One key was there before the start."""
    transport, processes = request.param
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        issue(Path(directory), "first")
        flags = ["--processes", processes, "--min-idle", "2"]
        environment = {"SGW_SERVER_TRANSPORT": transport}
        with GatewayProcess(Path(directory), {"probe": PROBE}, flags, environment=environment) as process:
            yield process


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gate at which functions of the app `probe` can be held. Its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        async with listening_gate(Path(directory) / "gate") as gate:
            yield gate


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A gateway of each kind, which tests share: each changes only what it has added."""
    with opened(*request.param) as site:
        yield site
