"""What is read from a client's certificate, through either transport."""

import base64
import datetime
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auth.certificates import Kind, Shown
from gateway.rpc.peer_certificates import PeerCertificates, of_ssl
from gateway.rpc.x509 import of_der, of_pem
from tests.auth.showing import dns, uri
from tests.tls.authority import Authority, Pair

WEB = "spiffe://example.org/ns/shop/sa/web"


class Connection:
    """Stands for the context of an RPC through grpcio, whose own lists of names end at a NUL."""

    def __init__(self, pair: Pair) -> None:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        names = [name.value for name in certificate.subject if isinstance(name.value, str)]
        self._properties = {
            "x509_pem_cert": [pair.certificate],
            "x509_common_name": [name.partition("\0")[0].encode() for name in names][-1:],
        }

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self._properties


def through_grpcio(_authority: Authority, pair: Pair, _folder: Path) -> Shown | None:
    return PeerCertificates().of(Connection(pair))


def through_nghttp2(authority: Authority, pair: Pair, folder: Path) -> Shown | None:
    """Return what a server reads after a handshake."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*authority.server().in_files(folder, "server"))
    serving.load_verify_locations(cadata=authority.pem.decode())
    serving.verify_mode = ssl.CERT_REQUIRED
    calling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    calling.load_cert_chain(*pair.in_files(folder, "client"))
    calling.load_verify_locations(cadata=authority.pem.decode())
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(back, there, server_hostname="localhost")
    server = serving.wrap_bio(there, back, server_side=True)
    waiting = [client, server]
    while waiting:
        waiting = [end for end in waiting if not _is_done(end)]
    return of_ssl(server)


def _is_done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.fixture(params=[through_grpcio, through_nghttp2])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Shown | None]:
    """Return what a gateway knows of a client with these names."""

    def read(name: str | Sequence[str], *others: x509.GeneralName) -> Shown | None:
        authority = Authority()
        found: Shown | None = request.param(authority, authority.client(name=name, others=others), tmp_path)
        return found

    return read


@pytest.mark.parametrize(
    ("name", "others", "kind", "names"),
    [
        ("alice", (), Kind.CN, ("alice",)),
        ("Jürgen", (), Kind.CN, ("Jürgen",)),
        ("alice", (dns("A.example.org"), dns("b")), Kind.DNS, ("a.example.org", "b")),
        ("alice", (dns("a"), uri(WEB), uri("urn:b")), Kind.URI, (WEB, "urn:b")),
        ("alice", (x509.RFC822Name("a@b"),), Kind.CN, ("alice",)),
        (("bob", "alice"), (dns("a"),), Kind.DNS, ("a",)),
        ("alice", (dns("a"), dns("b\0.evil.org")), Kind.DNS, ("a",)),
        ("alice\0.evil.org", (dns("a"),), Kind.DNS, ("a",)),
    ],
)
def test_the_names_of_the_kind_that_counts_are_the_same_through_each_transport(
    read: Callable[..., Shown | None],
    name: str | Sequence[str],
    others: tuple[x509.GeneralName, ...],
    kind: Kind,
    names: tuple[str, ...],
) -> None:
    found = read(name, *others)
    assert found is not None
    assert (found.kind, found.names) == (kind, names)
    assert found.until is not None


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("alice\0.evil.org", ()),
        ("alice\n", ()),
        ("\0alice", ()),
        ("alice", (dns("a\0.evil.org"),)),
        ("alice", (uri(WEB + "\0/evil"),)),
        ("alice", (uri("\0"),)),
        ("alice", (uri(""), dns("a"))),
        ("alice", (dns("a\x7f"),)),
        (("bob", "alice"), ()),
        (("alice", "alice"), ()),
    ],
)
def test_a_name_with_a_control_character_and_several_common_names_are_nobodys(
    read: Callable[..., Shown | None], name: str | Sequence[str], others: tuple[x509.GeneralName, ...]
) -> None:
    assert read(name, *others) is None


def test_a_certificate_that_nobody_has_verified_is_nobodys() -> None:
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert of_ssl(there) is None
    assert of_ssl(None) is None


@pytest.mark.parametrize("days", [1, 365 * 10, 365 * 40])
def test_when_a_certificate_expires_is_read_as_the_libraries_read_it(days: int) -> None:
    pem = Authority().client(ends=datetime.timedelta(days=days)).certificate
    assert of_pem(pem).until == x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def _der(*others: x509.GeneralName, name: str = "alice") -> bytes:
    pem = Authority().client(name=name, others=others).certificate
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_what_is_no_certificate_is_refused_wherever_it_is_cut_off() -> None:
    der = _der(uri(WEB), dns("a"))
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    assert of_pem(pem) == of_der(der)
    for wrong in (b"", b"x", pem[:-30], pem.replace(b"M", b"!")):
        with pytest.raises(ValueError, match="certificate"):
            of_pem(wrong)
    for wrong in (der + b"\0", *(der[:length] for length in range(len(der)))):
        with pytest.raises(ValueError, match="certificate"):
            of_der(wrong)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\x86\x05urn:a", b"\xa6\x05urn:a"),  # put together from parts
        (b"\x86\x05urn:a", b"\x86\x06urn:a"),
        (b"\x86\x05urn:a", b"\x86\x80rn:a\0"),  # of no stated length
        (b"\x86\x05urn:a", b"\x86\x81\x04rn:a"),  # longer than it has to be
        (b"\x86\x05urn:a", b"\x89\x05urn:a"),
        (b"\x55\x04\x03\x0c\x05alice", b"\x55\x04\x03\x2c\x05alice"),
        (b"\x55\x04\x03\x0c\x05alice", b"\x55\x04\x03\x04\x05alice"),
        (b"\x55\x04\x03\x0c\x05alice", b"\x55\x04\x03\x1e\x05alice"),
        (b"\x55\x1d\x25", b"\x55\x1d\x11"),  # its usage becomes alternative names once more
    ],
)
def test_what_is_not_strict_der_is_refused(before: bytes, after: bytes) -> None:
    der = _der(uri("urn:a"))
    assert der.count(before) == 1
    with pytest.raises(ValueError, match=r"certificate|decode"):
        of_der(der.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\x86\x05urn:a", b"\x86\x05urn:\xff"),
        (b"\x0c\x05alice", b"\x0c\x05\xfflice"),
        (b"\x0c\x05alice", b"\x13\x05\xfflice"),
    ],
)
def test_bytes_that_are_no_text_are_never_printable(before: bytes, after: bytes) -> None:
    found = of_der(_der(uri("urn:a")).replace(before, after))
    assert not all(name.isprintable() for name in (*found.uris, *found.common_names))


def test_a_common_name_is_read_in_each_encoding_that_it_may_have() -> None:
    der = _der(name="alicebob")
    for tag, text in ((0x13, b"alicebob"), (0x14, b"alicebo\xe9"), (0x1E, "alic".encode("utf-16-be"))):
        found = of_der(der.replace(b"\x0c\x08alicebob", bytes([tag, 8]) + text))
        assert found.common_names == [{0x13: "alicebob", 0x14: "aliceboé", 0x1E: "alic"}[tag]]
