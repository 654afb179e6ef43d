"""All ways in which a caller can show who it is: API keys, JSON Web Tokens, client certificates.

They are looked up when a caller comes for the first time, and again when anything of them has changed.
"""

import importlib
import logging
from pathlib import Path
from typing import Protocol

from gateway.auth import certificates
from gateway.auth.holders import Holder, NotLetIn, Reason
from gateway.auth.keyring import Keyring
from gateway.auth.watched import Watched
from gateway.auth_settings import AuthSettings

logger = logging.getLogger("gateway.auth")

_DOTS = 2
"""In a JSON Web Token; an API key has none."""


class TokensUnusable(Exception):
    """Tokens are asked for and cannot be verified; the text says what to do."""


class Tokens(Protocol):
    """JSON Web Tokens of one issuer."""

    @property
    def keys(self) -> int:
        """How many of the issuer's keys are known."""

    def find(self, shown: str, now: float) -> Holder:
        """Return whom a token is for. `now` is by the wall clock, in seconds. Raises NotLetIn."""

    async def refresh(self) -> bool:
        """Look at the issuer's keys. Returns whether they have changed."""


class Credentials:
    """Those of one gateway."""

    def __init__(self, keyring: Keyring, settings: AuthSettings | None = None) -> None:
        """Read the files of the settings. Raises Unusable and TokensUnusable."""
        settings = settings or AuthSettings()
        self._keyring = keyring
        self._mappings = None if settings.certificates_file is None else mappings_in(settings.certificates_file)
        self._tokens = tokens_of(settings) if settings.jwt_issuer else None
        self._issuer = settings.jwt_issuer
        self._announced = ""

    @property
    def required(self) -> bool:
        """Whether a caller needs any. Once it is true it stays so."""
        return self._keyring.required or self._tokens is not None or self._mappings is not None

    @property
    def by_certificate(self) -> bool:
        """Whether certificates say who somebody is."""
        return self._mappings is not None

    @property
    def wanted(self) -> str:
        """What callers are told that this gateway wants. It does not depend on what they have sent."""
        if self._mappings is None and self._tokens is None:
            return 'this gateway needs an API key that it has issued and that is good: "authorization: Bearer KEY"'
        ways = ["an API key"] + ["a token"] * (self._tokens is not None)
        sent = f'{" or ".join(ways)}, as "authorization: Bearer ..."'
        alone = ", or without that a client certificate," if self._mappings is not None else ","
        return f"this gateway needs {sent}{alone} that is good and that it knows"

    def of_bearer(self, shown: str, now: float) -> Holder:
        """Return who shows this. `now` is by the wall clock, in seconds. Raises NotLetIn."""
        if self._tokens is not None and shown.count(".") == _DOTS:
            return self._tokens.find(shown, now)
        key = self._keyring.find(shown, now)
        if key is None:
            raise NotLetIn(Reason.UNKNOWN_KEY, "its API key is unknown, revoked or expired")
        return Holder(key.id, key.scopes, None if key.expires_at is None else key.expires_at.timestamp())

    def of_certificate(self, shown: certificates.Shown | None, now: float) -> Holder:
        """Return who connects with this, and shows nothing besides. Raises NotLetIn."""
        if self._mappings is None or shown is None:
            raise NotLetIn(Reason.NO_CREDENTIAL, "it shows no credential")
        return self._mappings.value.find(shown, now)

    async def refresh(self) -> bool:
        """Look at all files. Returns whether others are good now."""
        changed = False
        for source in (self._keyring, self._mappings, self._tokens):
            if source is not None and await source.refresh():
                changed = True
        return changed

    def announce(self, now: float) -> None:
        """Log who is let in, if that is not what was logged last. `now` is by the wall clock, in seconds."""
        nobody, text = self._let_in(now)
        if text != self._announced:
            self._announced = text
            logger.log(logging.WARNING if nobody else logging.INFO, "%s", text)

    def _let_in(self, now: float) -> tuple[bool, str]:
        """Return whether nobody is let in, and the ways in which callers are known, each with its count."""
        if not self.required:
            return False, "callers need no API key"
        counts = [self._keyring.count(now)]
        usable = self._keyring.usable
        ways = [f"API keys ({counts[0]} good)" if usable else "API keys (none, while their file cannot be used)"]
        if self._tokens is not None:
            counts.append(self._tokens.keys)
            ways.append(f"tokens of {self._issuer} (its keys: {counts[-1]})")
        if self._mappings is not None:
            counts.append(len(self._mappings.value))
            ways.append(f"client certificates (mappings: {counts[-1]})")
        nobody = not any(counts)
        mending = "sgw key create NAME --data-dir DIR" if usable else "mend the file of keys, or put a backup back"
        hint = f"; nobody is let in: {mending}" if nobody else ""
        return nobody, f"callers are known by {', '.join(ways)}{hint}"


def mappings_in(path: Path) -> Watched[certificates.Mappings]:
    """Return what a file says of client certificates. Raises Unusable."""
    # One that was taken out must not stay good because the file is damaged.
    what = "the file of client certificates"
    return Watched(path, what, certificates.parsed, meanwhile=certificates.Mappings())


def tokens_of(settings: AuthSettings) -> Tokens:
    """Return the tokens of the issuer of the settings. Raises Unusable and TokensUnusable."""
    try:
        # It takes a tenth of a second: not in a gateway to which nobody sends tokens.
        module = importlib.import_module("gateway.auth.tokens")
    except ImportError as error:
        raise TokensUnusable(
            f"auth.jwt_issuer is set, and PyJWT with cryptography is not installed ({error}): "
            'pip install "session-gateway[jwt]"'
        ) from None
    tokens: Tokens = module.IssuedTokens(settings)
    return tokens
