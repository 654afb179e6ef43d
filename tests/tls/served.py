"""A gateway with certificates, as a process, and what its tests connect with."""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from gateway.testing.process import GatewayProcess
from sessiongateway import TLS, Inference
from tests.rpc.conftest import needs_nghttp2
from tests.scenarios.witness import APPS, STEADY
from tests.tls.authority import Authority

TRANSPORTS = [pytest.param("nghttp2", marks=needs_nghttp2), "grpcio"]

PATIENCE = 20.0
"""Seconds for what should come at once."""


@dataclass(frozen=True)
class Files:
    """An authority, and files in which it has signed for a gateway and for a client."""

    folder: Path
    authority: Authority
    certificate: Path
    key: Path
    ca: Path
    client_certificate: Path
    client_key: Path

    @classmethod
    def made(cls, folder: Path) -> "Files":
        """Make all of them, in a folder that is there."""
        authority = Authority()
        server, client = authority.server().in_files(folder, "server"), authority.client().in_files(folder, "client")
        return cls(folder, authority, *server, authority.in_file(folder, "ca"), *client)

    @property
    def serve(self) -> list[str]:
        """The flags of a gateway that serves TLS."""
        return ["--tls-cert", str(self.certificate), "--tls-key", str(self.key)]

    @property
    def serve_known_clients(self) -> list[str]:
        """The flags of one that asks for the client's certificate, too."""
        return [*self.serve, "--client-ca", str(self.ca)]

    @property
    def known(self) -> TLS:
        """A client that shows a certificate."""
        return TLS(self.ca, self.client_certificate, self.client_key)

    @property
    def unknown(self) -> TLS:
        """A client that shows none."""
        return TLS(self.ca)


@contextmanager
def gateway(
    data_dir: Path, transport: str, flags: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[GatewayProcess]:
    """Run a gateway with the app `steady`."""
    environment = {"SGW_SERVER_TRANSPORT": transport, **(environment or {})}
    with GatewayProcess(data_dir, {STEADY: APPS / "steady"}, flags, environment=environment) as process:
        yield process


def check_serves(address: str, tls: TLS, key: str | None = None) -> None:
    """Assert that a new connection is answered."""
    with Inference(address=address, tls=tls, api_key=key, timeout=PATIENCE) as client:
        assert client.run({"app": STEADY}).output["calls"] >= 1


@contextmanager
def plain_socket(address: str) -> Iterator[socket.socket]:
    """Connect without saying anything."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connected:
        yield connected


def context_of(tls: TLS, alpn: Sequence[str] = ("h2",)) -> ssl.SSLContext:
    """Return what Python's own client needs to connect."""
    context = ssl.create_default_context(cafile=tls.ca)
    if alpn:
        context.set_alpn_protocols(alpn)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def shown_serial(address: str, tls: TLS) -> int:
    """Connect, and return the number of the certificate that the gateway shows."""
    with (
        plain_socket(address) as connected,
        context_of(tls).wrap_socket(connected, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


def is_closed(connected: socket.socket, seconds: float) -> bool:
    """Return whether the peer closes the connection within some seconds, whatever it sends before."""
    connected.settimeout(seconds)
    with contextlib.suppress(ConnectionError):
        try:
            while connected.recv(65536):
                pass
        except TimeoutError:
            return False
    return True
