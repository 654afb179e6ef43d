"""JSON Web Tokens of one issuer (RFC 7519): who shows one is its subject, with the scopes that are in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jwt
from jwt.exceptions import InvalidSubjectError

from gateway.auth.holders import Holder, NotLetIn, Reason
from gateway.auth.jwks import VerifyingKey, parsed
from gateway.auth.keys import Scope
from gateway.auth.watched import Watched
from gateway.auth_settings import AuthSettings
from gateway.timing import JWT_LEEWAY

PREFIX = "jwt:"

LONGEST = 8192
"""Characters of a token. The headers of a request have little more room."""

_LONGEST_SUBJECT = 255
"""As OpenID Connect has it (Core 1.0, section 2)."""

_FOR_EVER = 1e15
"""Seconds: beyond any time that is one."""


@dataclass(frozen=True)
class Verifier:
    """What a token must be."""

    issuer: str
    audience: str
    scope_claim: str = ""
    scope_prefix: str = ""

    def find(self, shown: str, keys: Sequence[VerifyingKey], now: float) -> Holder:
        """Return whom a token is for. `now` is by the wall clock, in seconds. Raises NotLetIn."""
        claims = self._verified(shown, keys)
        ends = _time_in(claims, "exp")
        if ends is None:
            raise NotLetIn(Reason.WRONG_CLAIMS, "its token does not say when it expires")
        begins = _time_in(claims, "nbf")
        until = ends + JWT_LEEWAY
        if now >= until or (begins is not None and now < begins - JWT_LEEWAY):
            raise NotLetIn(Reason.EXPIRED, "its token has expired, or is not good yet")
        return Holder(self._principal(claims), tuple(self._scopes(claims)), until)

    def _verified(self, shown: str, keys: Sequence[VerifyingKey]) -> Mapping[str, Any]:
        """Return the claims of a token that one of the keys has signed, for us."""
        if len(shown) > LONGEST:
            raise NotLetIn(Reason.BAD_TOKEN, f"its token has more than {LONGEST} characters")
        algorithm, candidates = _candidates(shown, keys)
        # What depends on the time is looked at by `find`, by the gateway's own clock.
        options: Any = {
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "require": ["exp", "iss", "aud", "sub"],
        }
        for each in candidates:
            try:
                return jwt.decode(shown, each.key, [algorithm], options, audience=self.audience, issuer=self.issuer)
            except jwt.InvalidSignatureError:
                continue
            except (
                jwt.InvalidIssuerError,
                jwt.InvalidAudienceError,
                InvalidSubjectError,
                jwt.MissingRequiredClaimError,
            ):
                why = "its token is of another issuer, for another audience, or lacks exp, iss, aud or sub"
                raise NotLetIn(Reason.WRONG_CLAIMS, why) from None
            except Exception:  # noqa: BLE001  # what is no token must never be more than that
                raise NotLetIn(Reason.BAD_TOKEN, "its token cannot be read") from None
        raise NotLetIn(Reason.BAD_SIGNATURE, "the signature of its token is wrong")

    def _principal(self, claims: Mapping[str, Any]) -> str:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            raise NotLetIn(Reason.WRONG_CLAIMS, "the subject of its token is empty, too long or not printable")
        # No issuer has a space in it, so no other issuer and subject make the same.
        return f"{PREFIX}{self.issuer} {subject}"

    def _scopes(self, claims: Mapping[str, Any]) -> list[Scope]:
        names = [self.scope_claim] if self.scope_claim else ["scope", "scp"]
        value = next((claims[name] for name in names if name in claims), "")
        words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return [scope for scope in Scope if f"{self.scope_prefix}{scope}" in words]


class IssuedTokens:
    """Tokens of the issuer of the settings."""

    def __init__(self, settings: AuthSettings) -> None:
        """Read the issuer's keys. Raises Unusable."""
        assert settings.jwt_jwks_file is not None
        self._verifier = Verifier(
            settings.jwt_issuer, settings.jwt_audience, settings.jwt_scope_claim, settings.jwt_scope_prefix
        )
        # A file that is half written takes nothing from those whom the keys from before let in.
        read = partial(parsed, algorithms=settings.algorithms)
        self._keys = Watched(settings.jwt_jwks_file, "the file of the keys that sign tokens", read)

    @property
    def keys(self) -> int:
        """How many there are."""
        return len(self._keys.value)

    def find(self, shown: str, now: float) -> Holder:
        """Return whom a token is for. `now` is by the wall clock, in seconds. Raises NotLetIn."""
        return self._verifier.find(shown, self._keys.value, now)

    async def refresh(self) -> bool:
        """Look at the file. Returns whether other keys are good now."""
        return await self._keys.refresh()


def _candidates(shown: str, keys: Sequence[VerifyingKey]) -> tuple[str, Sequence[VerifyingKey]]:
    """Return the algorithm that a token names, and the keys that may have signed it with that."""
    try:
        header = jwt.get_unverified_header(shown)
    except Exception:  # noqa: BLE001  # whatever the library meets in what somebody made up
        raise NotLetIn(Reason.BAD_TOKEN, "its token cannot be read") from None
    algorithm, id_ = header.get("alg"), header.get("kid")
    if "crit" in header or "b64" in header:
        raise NotLetIn(Reason.BAD_TOKEN, "its token has extensions that are not understood")
    if id_ is None and len(keys) > 1:
        raise NotLetIn(Reason.BAD_TOKEN, "its token does not say which of the keys has signed it")
    found = [key for key in keys if id_ in (None, key.id) and algorithm in key.algorithms]
    if not found:
        raise NotLetIn(Reason.BAD_TOKEN, "its token is signed with a key, or an algorithm, that is not taken")
    return str(algorithm), found


def _time_in(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time of a token's, in seconds since the epoch; None for none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _FOR_EVER:
        raise NotLetIn(Reason.WRONG_CLAIMS, f"the {name} of its token is no time")
    return float(value)
