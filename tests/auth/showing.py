"""What callers show who have no API key: certificates with names of their own, and tokens of an issuer."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from tests.tls.authority import Authority, replace

ISSUER = "https://login.example.org/"
AUDIENCE = "session-gateway"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
"""Which takes a while to make."""


def uri(name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name)


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(name)


def credentials(
    authority: Authority, *others: x509.GeneralName, name: str | Sequence[str] = "client", **times: Any
) -> grpc.ChannelCredentials:
    """Return what a client connects with that has a certificate with these names."""
    pair = authority.client(name=name, others=others, **times)
    return grpc.ssl_channel_credentials(authority.pem, pair.key, pair.certificate)


def write_mappings(path: Path, *mappings: Mapping[str, Any]) -> None:
    """Write the file of mappings in one step, each with the scope `execute` unless it has others."""
    tables = []
    for mapping in mappings:
        lines = [f"{name} = {json.dumps(value)}" for name, value in ({"scopes": ["execute"]} | dict(mapping)).items()]
        tables.append("[[certificate]]\n" + "\n".join(lines))
    replace(path, "\n".join(tables).encode())


@dataclass
class Issuer:
    """Signs tokens. `keys` has its private keys by their ids, with their algorithms."""

    name: str = ISSUER
    keys: dict[str, tuple[str, Any]] = field(default_factory=lambda: {"one": ("RS256", RSA)})

    def add(self, id_: str, algorithm: str = "ES256") -> None:
        """Make a key."""
        curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}
        fresh: Any = (
            ec.generate_private_key(curves[algorithm]) if algorithm in curves else ed25519.Ed25519PrivateKey.generate()
        )
        self.keys[id_] = algorithm, fresh

    def token(self, subject: object = "ann", key: str | None = None, header: Any = None, **claims: Any) -> str:
        """Return a token that is good for an hour and for `execute`, but for what is given; None is left out."""
        id_ = next(iter(self.keys)) if key is None else key
        algorithm, secret = self.keys[id_]
        now = time.time()
        given = {"iss": self.name, "aud": AUDIENCE, "sub": subject, "exp": now + 3600, "scope": "execute"} | claims
        whole = {name: value for name, value in given.items() if value is not None}
        return jwt.api_jws.encode(
            json.dumps(whole).encode(), secret, algorithm, headers={"typ": "JWT", "kid": id_} | (header or {})
        )

    def jwks(self, **more: Any) -> bytes:
        """Return the public keys, each with some more members."""
        return json.dumps({"keys": [self.jwk(id_) | more for id_ in self.keys]}).encode()

    def jwk(self, id_: str) -> dict[str, Any]:
        """Return one public key."""
        algorithm, secret = self.keys[id_]
        found = get_default_algorithms()[algorithm].to_jwk(secret.public_key(), as_dict=True)
        return dict(found) | {"kid": id_, "alg": algorithm, "use": "sig"}

    def private_jwk(self, id_: str) -> dict[str, Any]:
        """Return one key with its secret."""
        algorithm, secret = self.keys[id_]
        return dict(get_default_algorithms()[algorithm].to_jwk(secret, as_dict=True)) | {"kid": id_}

    def pem(self, id_: str) -> bytes:
        """Return one public key in PEM."""
        public: bytes = self.keys[id_][1].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return public

    def write(self, path: Path, **more: Any) -> None:
        """Write the file of the public keys in one step."""
        replace(path, self.jwks(**more))
