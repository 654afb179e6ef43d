"""An API key: what its holder shows, and what is kept of it.

A key is `sgw_`, 13 characters that are its id's, `_`, and 52 characters of secret. Only its SHA-256 is kept: 256 random
bits cannot be guessed from that, however fast the hash is (docs/adr/0033-api-keys.md).
"""

import base64
import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

ID_PREFIX = "key_"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_ID_CHARACTERS = 13
_ID_BYTES = 8
_SECRET_BYTES = 32
_ID = rf"^{ID_PREFIX}[a-z2-7]{{{_ID_CHARACTERS}}}$"
_SHOWN = re.compile(rf"sgw_([a-z2-7]{{{_ID_CHARACTERS}}})_[a-z2-7]{{52}}")
_NOBODYS = "0" * 64


class Scope(enum.StrEnum):
    """What a key may be used for."""

    READ = "read"
    """Look at apps and at one's own sessions."""
    EXECUTE = "execute"
    """Run, keep alive and end sessions of one's own. `read` is in it: who runs something must see what became of it."""
    ADMIN = "admin"
    """See and end the sessions of everybody. `read` is in it, `execute` is not."""


class Key(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=_ID)]
    """Its holder's name to the gateway, for ever: sessions belong to it."""
    name: Annotated[str, Field(pattern=NAME)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the whole key as it is shown."""
    ends_with: Annotated[str, Field(pattern=r"^[a-z2-7]{4}$")]
    """Its last characters, by which its holder knows it again."""
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return whether it is good."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def over_since(self, now: datetime) -> datetime | None:
        """Return when it stopped being good, None while it is."""
        return self.revoked_at or (self.expires_at if self.state(now) == "expired" else None)

    def belongs_to(self, shown: str) -> bool:
        """Whether this is what is kept of the key that somebody shows. Takes as long either way."""
        return _matches(self.sha256, shown)


def new_key(name: str, scopes: Iterable[Scope], now: datetime, expires_at: datetime | None) -> tuple[Key, str]:
    """Draw a key. Returns what to keep, and the key itself. Raises ValueError for a name that cannot be one."""
    if re.fullmatch(NAME, name) is None or name.startswith(ID_PREFIX):
        raise ValueError(
            f"a name has 1 to 64 letters, digits and . _ -, and begins with none of these, nor {ID_PREFIX}"
        )
    id_ = _characters(_ID_BYTES)
    shown = f"sgw_{id_}_{_characters(_SECRET_BYTES)}"
    key = Key(
        id=ID_PREFIX + id_,
        name=name,
        scopes=tuple(sorted(set(scopes), key=list(Scope).index)),
        sha256=_digest(shown),
        ends_with=shown[-4:],
        created_at=now,
        expires_at=expires_at,
    )
    return key, shown


def id_in(shown: str) -> str | None:
    """Return the id of the key that somebody shows, None for what cannot be one."""
    found = _SHOWN.fullmatch(shown)
    return None if found is None else ID_PREFIX + found[1]


def refuse(shown: str) -> None:
    """Do what `Key.belongs_to` does, for nobody: an id that is not there is to take as long as a wrong secret."""
    _matches(_NOBODYS, shown)


def _matches(sha256: str, shown: str) -> bool:
    return hmac.compare_digest(sha256, _digest(shown))


def _digest(shown: str) -> str:
    return hashlib.sha256(shown.encode()).hexdigest()


def _characters(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode().rstrip("=").lower()
