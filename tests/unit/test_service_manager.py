"""What the service manager is told."""

import socket
from pathlib import Path

import pytest

from gateway.service_manager import READY, tell_service_manager


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_comes_to_the_socket_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"@sgw-test-{tmp_path}"[:100] if abstract else "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        tell_service_manager(READY)
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "nobody-listens-here"])
def test_nobody_there_is_no_failure(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    tell_service_manager(READY)
