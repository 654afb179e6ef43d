"""Certificates for tests, made afresh: authorities, and what they sign."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USUAL = ec.SECP256R1()
_DAY = datetime.timedelta(days=1)
_NAMES = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    @property
    def serial(self) -> int:
        """The certificate's number, by which it is known again."""
        return x509.load_pem_x509_certificate(self.certificate).serial_number

    def in_files(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key, each in one step, and return their paths."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            replace(path, content)
        return paths


class Authority:
    """Signs certificates. All authorities have the same name, so that only their keys tell them apart."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority")
        builder = _builder(self._name, self._name, self._key.public_key(), -_DAY, 30 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def server(
        self,
        begins: datetime.timedelta = -_DAY,
        ends: datetime.timedelta = 30 * _DAY,
        curve: ec.EllipticCurve = _USUAL,
        key: Any = None,
    ) -> Pair:
        """Return a certificate of `localhost` and 127.0.0.1, valid between two times from now.

        `key` is its private key; without one, a new one on the curve.
        """
        key = key or ec.generate_private_key(curve)
        return self._issue("server", ExtendedKeyUsageOID.SERVER_AUTH, begins, ends, key)

    def client(
        self,
        begins: datetime.timedelta = -_DAY,
        ends: datetime.timedelta = 30 * _DAY,
        name: str | Sequence[str] = "client",
        others: Sequence[x509.GeneralName] = tuple(_NAMES),
    ) -> Pair:
        """Return a certificate of a client, with its common name, or several, and its alternative ones."""
        key = ec.generate_private_key(_USUAL)
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, begins, ends, key, others=others)

    def peer(self) -> Pair:
        """Return a certificate for both ends of a connection."""
        both = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
        return self._issue("gateway", both, -_DAY, 30 * _DAY, ec.generate_private_key(_USUAL))

    def in_file(self, folder: Path, name: str) -> Path:
        """Write NAME.pem and return its path."""
        return replace(folder / f"{name}.pem", self.pem)

    def _issue(
        self,
        name: str | Sequence[str],
        usage: x509.ObjectIdentifier | Sequence[x509.ObjectIdentifier],
        begins: datetime.timedelta,
        ends: datetime.timedelta,
        key: Any,
        *,
        others: Sequence[x509.GeneralName] = tuple(_NAMES),
    ) -> Pair:
        builder = _builder(_name(name), self._name, key.public_key(), begins, ends)
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([usage] if isinstance(usage, x509.ObjectIdentifier) else usage), critical=False
        )
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return Pair(certificate, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class Expired(TypedDict):
    """The times of a certificate."""

    begins: datetime.timedelta
    ends: datetime.timedelta


def encrypted_key() -> bytes:
    """Return a private key that nobody can use without its password."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def expired() -> Expired:
    """Return the times of a certificate that was valid until a moment ago, for `Authority.server` and `client`."""
    return {"begins": -10 * _DAY, "ends": -datetime.timedelta(minutes=1)}


def replace(path: Path, content: bytes) -> Path:
    """Write a file in one step and return its path."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)
    return path


def _name(name: str | Sequence[str]) -> x509.Name:
    names = [name] if isinstance(name, str) else name
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in names])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    begins: datetime.timedelta,
    ends: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
