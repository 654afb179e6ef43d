"""What a certificate says: its subject's names and its end, read strictly from its DER (RFC 5280, X.690)."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

_BOOLEAN, _INTEGER, _BIT_STRING, _OCTET_STRING, _OID = 0x01, 0x02, 0x03, 0x04, 0x06
_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _SET = 0x17, 0x18, 0x30, 0x31
_VERSION, _ISSUER_ID, _SUBJECT_ID, _EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3
"""Tags of ASN.1, as a certificate has them (RFC 5280, section 4.1)."""

_DNS, _URI = 0x82, 0x86
_OTHER_NAMES = frozenset([0xA0, 0x81, 0xA3, 0xA4, 0xA5, 0x87, 0x88])
"""Tags of alternative names (RFC 5280, section 4.2.1.6)."""

_COMMON_NAME, _ALTERNATIVE_NAMES = b"\x55\x04\x03", b"\x55\x1d\x11"
"""2.5.4.3 and 2.5.29.17."""

_ENCODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
"""Of a common name, by its tag: UTF8String, PrintableString, TeletexString, IA5String, UniversalString, BMPString."""

_LONG = 0x80
"""From here on the first byte of a length says how many more it has."""
_LONG_TAG = 0x1F


@dataclass(slots=True)
class Certificate:
    """What a certificate says.

    Its names are as they are there, control characters and all; bytes that are no text are lone surrogates, as
    `surrogateescape` has them.
    """

    until: float
    """When it expires, in seconds since the epoch."""
    common_names: list[str] = field(default_factory=list)
    uris: list[str] = field(default_factory=list)
    dns_names: list[str] = field(default_factory=list)


def of_pem(pem: bytes) -> Certificate:
    """Read the first certificate of a file in PEM. Raises ValueError for what is none."""
    _, _, rest = pem.partition(b"-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition(b"-----END CERTIFICATE-----")
    try:
        return of_der(base64.b64decode(b"".join(body.split()), validate=True) if end else b"")
    except binascii.Error:
        raise ValueError("not what a certificate has there") from None


def of_der(der: bytes) -> Certificate:
    """Read a certificate. Raises ValueError for what is none."""
    try:
        whole = _only(der, _SEQUENCE)
        left, rest = _element(whole, _SEQUENCE)
        _, rest = _element(rest, _SEQUENCE)  # the algorithm
        _only(rest, _BIT_STRING)
        return _signed(left)
    except (IndexError, OverflowError):
        raise ValueError("a certificate that is cut off") from None


def _signed(left: bytes) -> Certificate:
    _, left = _optional(left, _VERSION)
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # its number, the algorithm, the issuer
        _, left = _element(left, tag)
    validity, left = _element(left, _SEQUENCE)
    subject, left = _element(left, _SEQUENCE)
    _, left = _element(left, _SEQUENCE)  # the key
    for tag in (_ISSUER_ID, _SUBJECT_ID):
        _, left = _optional(left, tag)
    extensions, left = _optional(left, _EXTENSIONS)
    if left:
        raise ValueError("more than a certificate has there")
    found = Certificate(_end(validity), _common_names(subject))
    if extensions is not None:
        _add_alternative_names(found, _only(extensions, _SEQUENCE))
    return found


def _common_names(subject: bytes) -> list[str]:
    found = []
    for part in _all(subject, _SET):
        for attribute in _all(part, _SEQUENCE):
            kind, value = _element(attribute, _OID)
            if kind == _COMMON_NAME:
                tag = value[0]
                if tag not in _ENCODINGS:
                    raise ValueError("a common name in a certificate is no text")
                found.append(_only(value, tag).decode(_ENCODINGS[tag], "surrogateescape"))
    return found


def _add_alternative_names(found: Certificate, extensions: bytes) -> None:
    of_names = []
    for extension in _all(extensions, _SEQUENCE):
        kind, left = _element(extension, _OID)
        _, left = _optional(left, _BOOLEAN)
        value = _only(left, _OCTET_STRING)
        if kind == _ALTERNATIVE_NAMES:
            of_names.append(value)
    if len(of_names) > 1:
        raise ValueError("a certificate that has its alternative names twice")
    for value in of_names:
        left = _only(value, _SEQUENCE)
        while left:
            tag = left[0]
            name, left = _element(left, tag)
            if tag in (_URI, _DNS):
                (found.uris if tag == _URI else found.dns_names).append(name.decode("ascii", "surrogateescape"))
            elif tag not in _OTHER_NAMES:
                raise ValueError("a name in a certificate is of no known kind")


def _all(data: bytes, tag: int) -> Iterator[bytes]:
    """Yield the contents of elements that follow each other to the end of the data, all with one tag."""
    while data:
        content, data = _element(data, tag)
        yield content


def _only(data: bytes, tag: int) -> bytes:
    content, rest = _element(data, tag)
    if rest:
        raise ValueError("more than a certificate has there")
    return content


def _optional(data: bytes, tag: int) -> tuple[bytes | None, bytes]:
    return _element(data, tag) if data[:1] == bytes([tag]) else (None, data)


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first element of DER, and what follows it. Raises IndexError and ValueError."""
    length, begin = data[1], 2
    if length >= _LONG:
        begin += length - _LONG
        length = int.from_bytes(data[2:begin], "big")
        # DER has one way to write a length: the shortest.
        if length < _LONG or data[2] == 0:
            raise ValueError("a length in a certificate is not as DER has it")
    end = begin + length
    if data[0] != tag or tag & _LONG_TAG == _LONG_TAG or end > len(data):
        raise ValueError("not what a certificate has there")
    return data[begin:end], data[end:]


def _end(validity: bytes) -> float:
    _, after = _element(validity, validity[0])
    tag = after[0]
    text = _only(after, tag).decode("ascii")
    if tag == _UTC_TIME:
        # The years until 49 are of this century (RFC 5280, section 4.1.2.5.1).
        text = ("20" if text < "50" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
