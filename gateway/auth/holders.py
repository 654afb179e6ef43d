"""Who somebody is who has shown a credential that is good, and why one is not let in whose credential is not."""

import enum
from dataclasses import dataclass

from gateway.auth.keys import Scope


@dataclass(frozen=True, slots=True)
class Holder:
    """One whose credential is good.

    Principals of different kinds of credentials never meet: those of keys begin with `key_`, of certificates with
    `cert:`, of JSON Web Tokens with `jwt:`.
    """

    principal: str
    scopes: tuple[Scope, ...]
    until: float | None = None
    """When the credential stops being good, in seconds by the wall clock; None for never."""


class Reason(enum.StrEnum):
    """Why somebody is not let in. The values are those of a label of the metrics, so there are few."""

    NO_CREDENTIAL = enum.auto()
    """Nothing was shown."""
    MALFORMED = enum.auto()
    """The authorization is not one `Bearer` with one key or token."""
    UNKNOWN_KEY = enum.auto()
    """No API key of this gateway's, or one that is revoked or has expired."""
    UNKNOWN_CERTIFICATE = enum.auto()
    """A certificate of a trusted authority, whose identity is not mapped."""
    BAD_TOKEN = enum.auto()
    """What cannot be read as a JSON Web Token, or is none that is taken: another algorithm, an unknown key."""
    BAD_SIGNATURE = enum.auto()
    """A JSON Web Token that was forged or changed."""
    WRONG_CLAIMS = enum.auto()
    """A JSON Web Token of another issuer, for another audience, or without what it must say."""
    EXPIRED = enum.auto()
    """It was good, or is not good yet."""


class NotLetIn(Exception):
    """Nobody whom this gateway knows. `reason` is counted and the text is for the log: neither is for the caller."""

    def __init__(self, reason: Reason, why: str, told: str = "") -> None:
        """`told` is for the caller, where its own mistake may be told."""
        super().__init__(why)
        self.reason = reason
        self.told = told
