"""How often a gateway looks at what the same callers show, call after call."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.auth.certificates import Kind, Shown
from gateway.auth.credentials import Credentials
from gateway.auth.holders import Holder
from gateway.auth.keyfile import KeyFile
from gateway.auth.keyring import Demand, Keyring
from gateway.auth_settings import AuthSettings
from gateway.errors import Unauthenticated
from gateway.rpc.callers import Callers
from gateway.rpc.peer_certificates import PeerCertificates
from gateway.testing.clock import FakeClock
from tests.auth.showing import AUDIENCE, ISSUER, Issuer, dns
from tests.tls.authority import Authority


class Counting(Credentials):
    """Counts who is looked up."""

    looked_up = 0

    def of_bearer(self, shown: str, now: float) -> Holder:
        self.looked_up += 1
        return super().of_bearer(shown, now)


class Request:
    """Stands for an RPC's context."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return [("authorization", f"Bearer {self._shown}")]

    def time_remaining(self) -> None:
        """No deadline."""


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def clock() -> FakeClock:
    clock = FakeClock()
    await clock.advance(time.time() - clock.now().wall)
    return clock


@pytest.fixture
def credentials(tmp_path: Path, issuer: Issuer) -> Counting:
    issuer.write(tmp_path / "jwks.json")
    settings = AuthSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_file=tmp_path / "jwks.json")
    return Counting(Keyring(KeyFile(tmp_path), Demand.ONCE_THERE_ARE_KEYS), settings)


def principal(callers: Callers, shown: str) -> str:
    return callers.of(cast(Any, Request(shown)), "GetSession").principal


def test_a_token_is_verified_once_however_long_it_is(credentials: Counting, issuer: Issuer, clock: FakeClock) -> None:
    callers, token = Callers(clock, credentials), issuer.token(more="a" * 5000)
    assert {principal(callers, token) for _ in range(100)} == {f"jwt:{ISSUER} ann"}
    assert credentials.looked_up == 1


async def test_a_token_that_is_remembered_is_refused_from_its_end_on(
    credentials: Counting, issuer: Issuer, clock: FakeClock
) -> None:
    callers, token = Callers(clock, credentials), issuer.token(exp=clock.now().wall + 60)
    principal(callers, token)
    await clock.advance(80)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            principal(callers, token)


def test_a_token_that_is_refused_is_not_remembered(credentials: Counting, issuer: Issuer, clock: FakeClock) -> None:
    callers, token = Callers(clock, credentials), issuer.token(aud="other")
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            principal(callers, token)
    assert credentials.looked_up == 3


async def test_all_are_looked_up_again_when_a_file_has_changed(
    credentials: Counting, issuer: Issuer, clock: FakeClock, tmp_path: Path
) -> None:
    callers, token = Callers(clock, credentials), issuer.token()
    principal(callers, token)
    issuer.add("two")
    issuer.write(tmp_path / "jwks.json")
    assert await callers.refresh()
    principal(callers, token)
    assert credentials.looked_up == 2
    assert not await callers.refresh()


class Connection:
    """Stands for the context of an RPC through grpcio, which tells of its connection anew for each."""

    def __init__(self, pem: bytes) -> None:
        self._properties = {"x509_pem_cert": [pem]}

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return dict(self._properties)


def test_a_certificate_is_read_once_for_all_calls_with_it() -> None:
    authority, certificates = Authority(), PeerCertificates()
    one, two = (Connection(authority.client(others=[dns(name)]).certificate) for name in ("a", "b"))
    first = certificates.of(one)
    assert first is not None
    assert (first.kind, first.names) == (Kind.DNS, ("a",))
    assert certificates.of(one) is first
    assert certificates.of(two) != first
    assert certificates.of(Connection(b"")) is None


def test_what_the_gateways_own_transport_knows_of_a_connection_is_taken_as_it_is() -> None:
    shown = Shown(Kind.CN, ("me",))
    for known in (shown, None):
        assert PeerCertificates().of(type("Call", (), {"peer_certificate": known})()) is known
