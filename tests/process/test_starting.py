"""What keeps a gateway from starting: each is told in a line that says what to do, and leaves nothing behind."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway import Inference
from tests.scenarios.witness import APPS, STEADY

CANNOT_START = 1
USAGE = 2


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {STEADY: APPS / "steady"}) as process:
        yield process


def serve(
    data_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a gateway that must end by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SGW_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "serve", "--data-dir", str(data_dir), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**kept, **(environment or {})},
    )


def check_still_answers(gateway: GatewayProcess) -> None:
    """Assert that a gateway is there as before."""
    with Inference(address=gateway.address) as client:
        assert client.run({"app": STEADY}).output["calls"] >= 1


def test_a_second_gateway_on_the_same_port_is_told_and_the_first_goes_on(
    running: GatewayProcess, tmp_path: Path
) -> None:
    second = serve(tmp_path / "data", "--listen", running.address)
    assert second.returncode == CANNOT_START
    assert f"sgw serve: cannot listen on {running.address}: the port is taken" in second.stderr
    assert second.stdout == ""
    check_still_answers(running)


def test_a_second_gateway_on_the_same_data_directory_is_told_and_the_first_goes_on(running: GatewayProcess) -> None:
    with Inference(address=running.address) as client:
        session = client.run({"app": STEADY, "session": "new"}).session_id
        second = serve(running.data_dir, "--listen", "127.0.0.1:0")
        assert second.returncode == CANNOT_START
        assert f"sgw serve: the data directory {running.data_dir} is in use by another gateway" in second.stderr
        assert second.stdout == ""
        # Neither its record nor its worker was touched.
        assert client.run({"app": STEADY, "session": session}).output["calls"] == 2
        client.sessions.end(session)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "gateway.example:0"])
def test_an_address_that_others_can_reach_is_refused_without_insecure(tmp_path: Path, address: str) -> None:
    refused = serve(tmp_path / "data", "--listen", address)
    assert refused.returncode == CANNOT_START
    assert "--insecure" in refused.stderr
    assert address in refused.stderr


def test_an_address_that_others_can_reach_is_taken_with_insecure(tmp_path: Path) -> None:
    # The last flag counts: the harness gives a loopback address first.
    with GatewayProcess(tmp_path / "data", {STEADY: APPS / "steady"}, ["--insecure", "--listen", "0.0.0.0:0"]) as open_:
        host, _, port = open_.address.rpartition(":")
        assert host == "0.0.0.0"
        with Inference(address=f"127.0.0.1:{port}") as client:
            assert client.run({"app": STEADY}).output["calls"] == 1


@pytest.mark.parametrize("address", ["localhost:0", "127.0.0.2:0", "[::1]:0"])
def test_every_loopback_address_is_taken_without_insecure(tmp_path: Path, address: str) -> None:
    if address == "[::1]:0" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with GatewayProcess(tmp_path / "data", {STEADY: APPS / "steady"}, ["--listen", address]) as gateway:
        check_still_answers(gateway)


def test_every_wrong_setting_is_named_at_once_whatever_its_source(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[server]\ndrain_grace = -1\n[sessions]\nretention = "long"\n[nobody]\nknows = 1\n')
    wrong = serve(
        tmp_path / "data",
        *("--config", str(file), "--listen", "nowhere", "--log-level", "loud"),
        environment={"SGW_WORKERS_MAX_WORKERS": "0", "SGW_WORKERS_NOBODY": "1"},
    )
    assert wrong.returncode == USAGE
    named = [
        "--listen",
        f"{file}:2: server.drain_grace",
        f"{file}:4: sessions.retention",
        "SGW_WORKERS_MAX_WORKERS",
        "--log-level",
        f"{file}:5: nobody",
        "SGW_WORKERS_NOBODY",
    ]
    assert [name for name in named if f"  {name}: " not in wrong.stderr] == []
    assert wrong.stdout == ""
    assert not (tmp_path / "data").exists()


APPS_THAT_ARE_NONE = [
    ("a missing directory", "a=/no/such/directory", "/no/such/directory is not a directory"),
    ("a directory without app.py", "a=/", "has no app.py"),
    ("a name that is none", "no name=/", "is not an app's name"),
    ("the version latest", "a@latest=/", "cannot be the name of a version"),
]


@pytest.mark.parametrize(("app", "complaint"), [pytest.param(*case[1:], id=case[0]) for case in APPS_THAT_ARE_NONE])
def test_an_app_that_is_none_keeps_the_gateway_from_starting(tmp_path: Path, app: str, complaint: str) -> None:
    refused = serve(tmp_path / "data", "--listen", "127.0.0.1:0", "--app", app)
    assert refused.returncode == CANNOT_START
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_data_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    refused = serve(tmp_path / "data", "--listen", "127.0.0.1:0")
    assert refused.returncode == CANNOT_START
    assert f"cannot use the data directory {tmp_path / 'data'}" in refused.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_damaged_file_of_keys_keeps_the_gateway_from_starting(tmp_path: Path, processes: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keys.json").write_text('{"format": 1')
    refused = serve(tmp_path / "data", "--listen", "127.0.0.1:0", "--processes", processes)
    assert refused.returncode == CANNOT_START
    assert f"the file of API keys, {tmp_path / 'data' / 'keys.json'}: damaged" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_store_that_is_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "data" / "sessions.db").mkdir(parents=True)
    refused = serve(tmp_path / "data", "--listen", "127.0.0.1:0")
    assert refused.returncode == CANNOT_START
    assert "sessions.db" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_address_that_is_printed_has_the_port_that_was_taken(running: GatewayProcess) -> None:
    host, _, port = running.address.rpartition(":")
    assert host == "127.0.0.1"
    assert 0 < int(port) < 65536
