"""The certificate with which a caller has connected, from whatever transport it came by."""

import base64
import binascii
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.auth.certificates import Shown, shown

_REMEMBERED = 1024

_INTEGER, _SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x02, 0x30, 0x17, 0x18, 0xA0
"""Tags of ASN.1, as a certificate has them (RFC 5280, section 4.1)."""

_LONG = 0x80
"""From here on the first byte of a length says how many more it has."""


class PeerCertificates:
    """Reads each certificate once: through nghttp2 for each connection, through grpcio for each certificate."""

    def __init__(self) -> None:
        self._known: dict[bytes, Shown | None] = {}

    def of(self, context: Any) -> Shown | None:
        """Return what counts of the caller's certificate, None for none."""
        try:
            found: Shown | None = context.peer_certificate
        except AttributeError:
            return self._of_grpcio(context.auth_context())
        return found

    def _of_grpcio(self, properties: Mapping[str, Sequence[bytes]]) -> Shown | None:
        # grpcio tells of a connection only by way of its calls, and has worked the names out by then.
        pem = b"".join(properties.get("x509_pem_cert", ()))
        if not pem:
            return None
        if pem not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[pem] = _of_properties(properties, pem)
        return self._known[pem]


def of_ssl(connection: ssl.SSLObject | None) -> Shown | None:
    """Return what counts of the certificate that the peer of a connection has shown."""
    found: Mapping[str, Any] = (connection.getpeercert() or {}) if connection is not None else {}
    if not found:
        return None
    names = found.get("subjectAltName", ())
    subject = [value for part in found.get("subject", ()) for kind, value in part if kind == "commonName"]
    return shown(
        [value for kind, value in names if kind == "URI"],
        [value for kind, value in names if kind == "DNS"],
        subject[0] if subject else None,
        ssl.cert_time_to_seconds(found["notAfter"]),
    )


def _of_properties(properties: Mapping[str, Sequence[bytes]], pem: bytes) -> Shown | None:
    def texts(name: str) -> list[str]:
        return [value.decode() for value in properties.get(name, ())]

    try:
        subject = texts("x509_common_name")
        return shown(texts("peer_uri"), texts("peer_dns"), subject[0] if subject else None, expiry_in(pem))
    except ValueError:
        return None  # names that are no text are nobody's


def expiry_in(pem: bytes) -> float:
    """Return when a certificate expires, in seconds since the epoch. Raises ValueError for what is none."""
    _, _, rest = pem.partition(b"-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition(b"-----END CERTIFICATE-----")
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True) if end else b""
    except binascii.Error:
        der = b""
    try:
        certificate, _ = _element(der, _SEQUENCE)
        left, _ = _element(certificate, _SEQUENCE)
        if left[:1] == bytes([_VERSION]):
            _, left = _element(left, _VERSION)
        for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # its number, the algorithm, the issuer
            _, left = _element(left, tag)
        validity, _ = _element(left, _SEQUENCE)
        _, after = _element(validity, validity[0])
        text, _ = _element(after, after[0])
        return _seconds(after[0], text.decode("ascii"))
    except (IndexError, OverflowError):
        raise ValueError("a certificate that is cut off") from None


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first element of DER, and what follows it. Raises IndexError and ValueError."""
    length, begin = data[1], 2
    if length >= _LONG:
        begin += length - _LONG
        length = int.from_bytes(data[2:begin], "big")
    end = begin + length
    if data[0] != tag or end > len(data):
        raise ValueError("not what a certificate has there")
    return data[begin:end], data[end:]


def _seconds(tag: int, text: str) -> float:
    if tag == _UTC_TIME:
        # The years until 49 are of this century (RFC 5280, section 4.1.2.5.1).
        text = ("20" if text < "50" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
