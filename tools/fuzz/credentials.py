"""What callers show who have no API key, and the files that say which of it is good."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from gateway.auth import certificates, jwks
from gateway.auth.holders import NotLetIn
from gateway.auth.tokens import Verifier
from gateway.auth_settings import ALGORITHMS
from gateway.rpc.x509 import of_pem
from tools.fuzz.engine import Target, no_leak
from tools.fuzz.inputs import ODD_TEXTS, mutated

_NOW = 1_800_000_000.0
_SECRET = ec.derive_private_key(7, ec.SECP256R1())
_KEY = ECAlgorithm.to_jwk(_SECRET.public_key(), as_dict=True) | {"kid": "one", "alg": "ES256", "use": "sig"}
_VERIFIER = Verifier("issuer", "audience")
_CLAIMS = {"iss": "issuer", "aud": "audience", "sub": "somebody", "exp": _NOW + 60, "nbf": _NOW, "scope": "read admin"}

_MAPPINGS = b"""
[[certificate]]
identity = "uri:spiffe://example.org/ns/*/sa/**"
scopes = ["read", "execute"]

[[certificate]]
identity = "dns:*.example.org"
principal = "web"
scopes = ["admin"]
"""

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*_CLAIMS.values()]) | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3),
    max_leaves=5,
)


def targets() -> list[Target]:
    """Return one for tokens, one for their claims, one for certificates, and one for each kind of file."""
    return [*_tokens(), *_files()]


def _tokens() -> list[Target]:
    keys = jwks.parsed(json.dumps({"keys": [_KEY]}).encode(), ALGORITHMS)

    def token(shown: str) -> None:
        try:
            holder = _VERIFIER.find(shown, keys, _NOW)
        except NotLetIn as error:
            no_leak(str(error) + error.told)
        else:
            assert holder.principal.startswith("jwt:issuer ")
            assert holder.principal.isprintable()

    def claims(given: tuple[bytes, dict[str, Any]]) -> None:
        payload, more = given
        token(jwt.api_jws.encode(payload, _SECRET, "ES256", headers={"kid": "one"} | more))

    good = jwt.api_jws.encode(json.dumps(_CLAIMS).encode(), _SECRET, "ES256", headers={"kid": "one"})
    shown = mutated(st.just(good.encode())).map(lambda data: data.decode("latin-1"))
    changed = st.dictionaries(st.sampled_from([*_CLAIMS, "scp", "iat", "jti"]) | ODD_TEXTS, _VALUES, max_size=3)
    payloads = changed.map(lambda more: json.dumps(_CLAIMS | more).encode())
    headers = st.dictionaries(st.sampled_from(["typ", "crit", "cty", "jwk", "x5c"]), st.text(max_size=3), max_size=2)
    return [
        Target("tokens", shown | ODD_TEXTS, token),
        Target("token_claims", st.tuples(payloads | mutated(payloads), headers), claims),
    ]


def _files() -> list[Target]:
    def key_set(data: bytes) -> None:
        with _told():
            jwks.parsed(data, ALGORITHMS)

    def mappings(given: tuple[bytes, str]) -> None:
        content, name = given
        with _told():
            found = certificates.parsed(content)
            for shown in (certificates.shown([name], [], None), certificates.shown([], [name], None)):
                if shown is not None:
                    assert found.find(shown, _NOW).principal.isprintable()

    def certificate(data: bytes) -> None:
        with _told():
            of_pem(data)

    names = st.sampled_from(["spiffe://example.org/ns/a/sa/b/c", "a.example.org"]) | ODD_TEXTS | st.text(max_size=20)
    return [
        Target("jwks_file", mutated(st.just(json.dumps({"keys": [_KEY, _KEY | {"kty": "RSA"}]}).encode())), key_set),
        Target("certificates_file", st.tuples(mutated(st.just(_MAPPINGS)), names), mappings),
        Target("certificates", mutated(st.just(_certificate())), certificate),
    ]


@contextmanager
def _told() -> Iterator[None]:
    """Take the errors that these parsers may raise."""
    try:
        yield
    except (ValueError, NotLetIn) as error:
        no_leak(str(error))


def _certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fuzz")])
    begins = datetime(2025, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, _SECRET.public_key(), 7, begins, begins + timedelta(days=10_000))
    others = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://a/b"), x509.DNSName("a.b")])
    builder = builder.add_extension(others, critical=False)
    return builder.sign(_SECRET, hashes.SHA256()).public_bytes(Encoding.PEM)
