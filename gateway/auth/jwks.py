"""The public keys of an issuer of JSON Web Tokens, from a file in the form of a JSON Web Key Set (RFC 7517).

Only what verifies is taken of a key, and only for algorithms that are its own: a symmetric key is none, so that nobody
who may read the file can sign, and no public key ever serves as the secret of an HMAC (RFC 8725, sections 2.1 and 3.1).
"""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

logger = logging.getLogger("gateway.auth")

_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""The members of a key that are not secret, by its type."""

_OF_CURVE = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA",)}
_OF_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS = 2048
"""At least (RFC 7518, section 3.3)."""


@dataclass(frozen=True)
class VerifyingKey:
    """One key of an issuer's."""

    id: str | None
    key: Any
    algorithms: tuple[str, ...]
    """What it may be used with, of those that are configured."""


def parsed(content: bytes, algorithms: Collection[str]) -> Sequence[VerifyingKey]:
    """Return the keys in a file that can be used. An issuer may have withdrawn them all, and say so by an empty set.

    Raises ValueError for a set of which none can be used; its text says why.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("this is not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("this is no JSON Web Key Set: it has no array `keys`")  # noqa: TRY004
    found, reasons = list[VerifyingKey](), list[str]()
    for number, each in enumerate(listed, start=1):
        try:
            found.append(_key(each, algorithms))
        except ValueError as error:
            reasons.append(f"key {number}: {error}")
    if not listed:
        logger.warning("the issuer of tokens has no keys: no token lets anybody in")
    elif not found:
        raise ValueError(f"no key in it can be used ({'; '.join(reasons[:3])})")
    if reasons:
        logger.warning("keys of the issuer of tokens that cannot be used: %s", "; ".join(reasons[:3]))
    return found


def _key(given: object, algorithms: Collection[str]) -> VerifyingKey:
    if not isinstance(given, dict):
        raise ValueError("no object")  # noqa: TRY004  # of the file, not of a caller
    if given.get("use", "sig") != "sig":
        raise ValueError("not for signatures")
    own = _algorithms_of(given)
    usable = tuple(name for name in own if name in algorithms)
    if not usable:
        raise ValueError(f"its algorithms are not among those that are configured ({', '.join(own) or 'it has none'})")
    id_ = given.get("kid")
    if id_ is not None and not isinstance(id_, str):
        raise ValueError("its `kid` is no text")
    return VerifyingKey(id_, _loaded(given, usable[0]), usable)


def _algorithms_of(given: Mapping[str, Any]) -> tuple[str, ...]:
    kind, curve, own = given.get("kty"), given.get("crv"), given.get("alg")
    if kind == "RSA":
        possible: tuple[str, ...] = _OF_RSA
    elif kind in _PUBLIC and isinstance(curve, str):
        possible = _OF_CURVE.get(curve, ())
    else:
        raise ValueError("only keys of the types RSA, EC and OKP are taken")
    return possible if own is None else tuple(name for name in possible if name == own)


def _loaded(given: Mapping[str, Any], algorithm: str) -> Any:
    kind = str(given["kty"])
    try:
        key = PyJWK({"kty": kind} | {name: given.get(name) for name in _PUBLIC[kind]}, algorithm).key
    except Exception:  # noqa: BLE001  # of what is no key, the libraries raise whatever they meet
        raise ValueError("it is damaged") from None
    if isinstance(key, RSAPublicKey) and key.key_size < _RSA_BITS:
        raise ValueError(f"less than {_RSA_BITS} bits")
    return key
