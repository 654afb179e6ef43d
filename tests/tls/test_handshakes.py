"""Who gets through to a gateway with TLS, how those are told who do not, and that they harm nobody else."""

import contextlib
import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from gateway.testing.process import GatewayProcess
from gateway.timing import HTTP2_GREETING, TLS_HANDSHAKE
from sessiongateway import TLS, Inference, UnavailableError
from tests.process.observe import eventually
from tests.scenarios.witness import STEADY
from tests.tls.authority import Authority, expired
from tests.tls.served import (
    PATIENCE,
    TRANSPORTS,
    Files,
    check_serves,
    context_of,
    gateway,
    is_closed,
    plain_socket,
)


@dataclass(frozen=True)
class Served:
    """A gateway that wants certificates of its clients, and the files."""

    process: GatewayProcess
    files: Files
    transport: str

    @property
    def address(self) -> str:
        return self.process.address


@pytest.fixture(scope="module", params=TRANSPORTS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tls")
    files = Files.made(folder)
    with gateway(folder / "data", request.param, files.serve_known_clients) as process:
        yield Served(process, files, request.param)


@pytest.fixture(autouse=True)
def _others_are_served(served: Served) -> Iterator[None]:
    """Whatever a test has done, the session of somebody else goes on over its old connection, and new ones are made."""
    with Inference(address=served.address, tls=served.files.known, timeout=PATIENCE) as client:
        session = client.session(STEADY)
        session.call({})
        yield
        assert session.call({}).output["calls"] == 2
        session.end()
    check_serves(served.address, served.files.known)


def refused(address: str, tls: TLS | None) -> str:
    """Call a gateway that must not answer, and return what the caller is told."""
    with Inference(address=address, tls=tls) as client, pytest.raises(UnavailableError) as caught:
        client.run({"app": STEADY}, timeout=PATIENCE)
    assert caught.value.run_state == "not_started"
    return str(caught.value)


def test_a_client_with_a_certificate_of_the_authority_is_served_on_every_kind_of_call(served: Served) -> None:
    with Inference(address=served.address, tls=served.files.known, timeout=PATIENCE) as client:
        text = "x" * 3_000_000
        answer = client.run({"app": STEADY, "session": "new", "input": {"text": text}})
        assert answer.output["state"] == {"text": text}
        assert next(iter(client.stream_keepalive([answer.session_id]))).session_id == answer.session_id
        client.sessions.end(answer.session_id)


def test_grpcs_own_client_is_served(served: Served) -> None:
    files = served.files
    key, certificate = files.client_key.read_bytes(), files.client_certificate.read_bytes()
    credentials = grpc.ssl_channel_credentials(files.ca.read_bytes(), key, certificate)
    with grpc.secure_channel(served.address, credentials) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=PATIENCE) == b"\x08\x01"  # serving


def test_a_client_without_a_certificate_is_refused(served: Served) -> None:
    assert served.address in refused(served.address, served.files.unknown)


@pytest.mark.parametrize("kind", ["of another authority", "expired", "of a server"])
def test_a_client_with_a_certificate_that_does_not_count_is_refused(served: Served, tmp_path: Path, kind: str) -> None:
    pair = {
        "of another authority": Authority().client,
        "expired": lambda: served.files.authority.client(**expired()),
        "of a server": served.files.authority.server,
    }[kind]()
    assert served.address in refused(served.address, TLS(served.files.ca, *pair.in_files(tmp_path, "client")))


def test_who_shows_no_certificate_is_told_by_tls_itself_that_one_is_required(served: Served) -> None:
    with (
        plain_socket(served.address) as connected,
        context_of(served.files.unknown).wrap_socket(connected, server_hostname="localhost") as secure,
    ):
        if served.transport == "grpcio":  # which closes without that alert
            assert is_closed(secure, PATIENCE)
            return
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            secure.recv(1)


def test_a_client_that_does_not_trust_the_gateways_authority_is_told_so(served: Served, tmp_path: Path) -> None:
    stranger = Authority().in_file(tmp_path, "stranger")
    told = refused(served.address, TLS(stranger, served.files.client_certificate, served.files.client_key))
    assert "certificate" in told


def test_a_client_without_tls_is_refused(served: Served) -> None:
    assert served.address in refused(served.address, None)


def test_what_does_not_speak_http2_is_closed_after_the_handshake(served: Served) -> None:
    for alpn in ([], ["http/1.1"]):
        with plain_socket(served.address) as connected, contextlib.suppress(ssl.SSLError, ConnectionError):
            secure = context_of(served.files.known, alpn).wrap_socket(connected, server_hostname="localhost")
            with secure:
                assert is_closed(secure, HTTP2_GREETING / 2)  # at once, and not for want of the preface


def test_tls_1_2_is_spoken_and_nothing_older(served: Served) -> None:
    context = context_of(served.files.known)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        plain_socket(served.address) as connected,
        context.wrap_socket(connected, server_hostname="localhost") as secure,
    ):
        assert secure.version() == "TLSv1.2"
        assert secure.selected_alpn_protocol() == "h2"
    old = context_of(served.files.known)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with plain_socket(served.address) as connected, pytest.raises((ssl.SSLError, ConnectionError)):
        old.wrap_socket(connected, server_hostname="localhost")


GARBAGE = {
    "another protocol": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "zeros": bytes(5000),
    "noise": os.urandom(5000),
    "a record that is too long": b"\x16\x03\x01\xff\xff" + bytes(5000),
    "a handshake that is none": b"\x16\x03\x01\x00\x40" + os.urandom(64),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_answered_with_the_end_of_the_connection(served: Served, kind: str) -> None:
    with plain_socket(served.address) as connected:
        connected.sendall(GARBAGE[kind])
        assert is_closed(connected, TLS_HANDSHAKE + PATIENCE)


async def test_handshakes_that_are_never_finished_keep_nobody_out_and_are_closed(served: Served) -> None:
    before = connections(served.address)
    hello = client_hello(served.files.known)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(plain_socket(served.address)) for _ in range(301)]
        for number, connected in enumerate(sockets[1:]):
            # Nothing, a part, or all of the first message.
            connected.sendall(hello[: len(hello) * (number % 3) // 2])
        check_serves(served.address, served.files.known)
        drip, until = sockets[0], time.monotonic() + TLS_HANDSHAKE + PATIENCE
        for byte in hello:
            # One byte now and then does not buy more time.
            with contextlib.suppress(ConnectionError):
                drip.sendall(bytes([byte]))
            if is_closed(drip, 0.1):
                break
        for connected in sockets:
            assert is_closed(connected, max(0.1, until - time.monotonic()))
    await eventually("the gateway has closed its side", lambda: connections(served.address) <= before)


def connections(address: str) -> int:
    """Return how many connections a server on this machine has, of those that it has not closed."""
    port, open_states = f":{int(address.rpartition(':')[2]):04X}", {"01", "08"}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] in open_states for line in lines)


def client_hello(tls: TLS) -> bytes:
    """Return the first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context_of(tls).wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()
