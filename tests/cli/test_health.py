"""`sgw health`."""

import pytest

from gateway.cli.exits import Exit
from gateway.testing.process import GatewayProcess
from tests.cli.conftest import NOBODY_THERE, Sgw

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize("service", [[], ["sessiongateway.v1.SessionService"]])
def test_a_gateway_that_takes_calls_is_serving(sgw: Sgw, service: list[str]) -> None:
    result = sgw("health", *service)
    assert (result.code, result.json) == (Exit.OK, {"status": "SERVING"})


def test_a_service_that_there_is_not_is_told(sgw: Sgw) -> None:
    result = sgw("health", "no.such.Service")
    assert result.code == Exit.USAGE
    assert "no.such.Service" in result.err


def test_a_gateway_that_is_not_there_is_unreachable(sgw: Sgw) -> None:
    result = sgw("health", "--address", NOBODY_THERE)
    assert result.code == Exit.UNREACHABLE
    assert NOBODY_THERE in result.err


def test_settings_that_cannot_be_used_are_told(sgw: Sgw, gateway: GatewayProcess) -> None:
    result = sgw("health", "--address", gateway.address, "--tls-ca", "no-such-file")
    assert result.code == Exit.USAGE
    assert "no-such-file" in result.err
