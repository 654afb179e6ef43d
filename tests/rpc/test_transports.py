"""Which transport a gateway takes, and that a machine without nghttp2 loses nothing else."""

from pathlib import Path

import pytest

from gateway.rpc.transports import TransportMissing, choose
from gateway.testing.process import GatewayProcess
from tests.rpc.conftest import needs_nghttp2


def test_auto_takes_what_is_there() -> None:
    assert choose("auto", None) == "nghttp2"
    assert choose("auto", "no such module") == "grpcio"


def test_each_can_be_asked_for() -> None:
    assert choose("nghttp2", None) == "nghttp2"
    assert choose("grpcio", None) == "grpcio"
    assert choose("grpcio", "no such module") == "grpcio"


def test_nghttp2_where_it_is_not_installed_is_told_with_the_reason() -> None:
    with pytest.raises(TransportMissing, match="no such module"):
        choose("nghttp2", "no such module")


@pytest.mark.parametrize("name", [pytest.param("nghttp2", marks=needs_nghttp2), "grpcio"])
def test_the_log_says_which_transport_serves(tmp_path: Path, name: str) -> None:
    environment = {"SGW_SERVER_TRANSPORT": name}
    with GatewayProcess(tmp_path / "data", environment=environment) as process:
        process.stop()
        assert f"the transport is {name}" in process.log
