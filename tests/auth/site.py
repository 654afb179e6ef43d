"""A gateway that knows callers by keys, certificates and tokens."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509

from gateway.testing.process import GatewayProcess
from sessiongateway import TLS
from tests.auth.showing import AUDIENCE, ISSUER, Issuer, credentials, dns, uri, write_mappings
from tests.scenarios.client import Client, connected
from tests.scenarios.conftest import PROBE
from tests.tls.served import Files

NUMBERS = itertools.count()
"""For names that nobody else has."""

MAPPED: list[dict[str, Any]] = [
    {"identity": "uri:spiffe://example.org/admin", "scopes": ["admin"]},
    {"identity": "uri:spiffe://example.org/reader", "scopes": ["read"]},
    {"identity": "uri:spiffe://example.org/ns/*"},
    {"identity": "dns:*.batch.example.org", "principal": "batch"},
    {"identity": "cn:build server"},
]


@dataclass
class Site:
    """A gateway with all that it trusts."""

    process: GatewayProcess
    files: Files
    issuer: Issuer

    def map(self, *more: dict[str, Any]) -> None:
        """Write the file of mappings anew, with some more."""
        write_mappings(self.files.folder / "mappings.toml", *MAPPED, *more)

    def write_keys(self) -> None:
        """Write the issuer's public keys anew."""
        self.issuer.write(self.files.folder / "jwks.json")

    def shows(
        self, *others: x509.GeneralName, name: str | Sequence[str] = "client", **times: Any
    ) -> grpc.ChannelCredentials:
        """Return what a client connects with that has a certificate with these names."""
        return credentials(self.files.authority, *others, name=name, **times)

    def workload(self, kind: str = "ns") -> tuple[str, grpc.ChannelCredentials]:
        """Return an identity that nobody else has, and what its holder connects with."""
        identity = f"spiffe://example.org/{kind}/{next(NUMBERS)}"
        return identity, self.shows(uri(identity))

    def files_of(self, *others: x509.GeneralName) -> TLS:
        """Return the same as files."""
        pair = self.files.authority.client(others=others)
        return TLS(self.files.ca, *pair.in_files(self.files.folder, f"client-{next(NUMBERS)}"))

    @asynccontextmanager
    async def client(self, tls: grpc.ChannelCredentials | None = None, key: str = "") -> AsyncIterator[Client]:
        """Connect with a certificate, by default with one that is mapped to nobody."""
        async with connected(self.process.address, key, tls=tls or self.shows(dns("nobody"))) as client:
            yield client


@contextmanager
def opened(transport: str, processes: str) -> Iterator[Site]:
    """Run a gateway."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        folder = Path(directory)
        files, issuer = Files.made(folder), Issuer()
        write_mappings(folder / "mappings.toml", *MAPPED)
        issuer.write(folder / "jwks.json")
        environment = {
            "SGW_SERVER_TRANSPORT": transport,
            "SGW_AUTH_CERTIFICATES_FILE": str(folder / "mappings.toml"),
            "SGW_AUTH_JWT_ISSUER": ISSUER,
            "SGW_AUTH_JWT_AUDIENCE": AUDIENCE,
            "SGW_AUTH_JWT_JWKS_FILE": str(folder / "jwks.json"),
            "SGW_AUTH_JWT_ALGORITHMS": "RS256,ES256",
            "SGW_METRICS_ADDRESS": "127.0.0.1:0",
        }
        flags = ["--processes", processes, "--min-idle", "2", *files.serve_known_clients]
        with GatewayProcess(folder / "data", {"probe": PROBE}, flags, environment=environment) as process:
            yield Site(process, files, issuer)
