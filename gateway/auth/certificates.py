"""Whom a client's certificate stands for: identities that are mapped to principals, in a file of their own.

The authority has vouched for every name in a certificate. One kind of them counts: URIs, which say what a workload is
(SPIFFE), before DNS names, which say where it runs, before the common name, whose meaning nobody has laid down.
"""

import enum
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.auth.holders import Holder, NotLetIn, Reason
from gateway.auth.keys import NAME, Scope

PREFIX = "cert:"
_LONGEST = 1024
"""Characters of a name that can be an identity, which is stored with each session."""


class Kind(enum.StrEnum):
    """What a name in a certificate is. The first kind of which there are some is the one that counts."""

    URI = "uri"
    DNS = "dns"
    CN = "cn"


_WILDCARD = re.compile(r"(\*\*|\*)")
_SEPARATORS = {Kind.URI: "/", Kind.DNS: ".", Kind.CN: "\n"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What counts of a certificate that TLS has verified."""

    kind: Kind
    names: tuple[str, ...]
    until: float | None = None
    """When it expires, in seconds by the wall clock."""


def shown(
    uris: Sequence[str], dns_names: Sequence[str], common_name: str | None, until: float | None = None
) -> Shown | None:
    """Return what counts of a certificate with these names; None when it has none by which anybody could be known."""
    given = ((Kind.URI, uris), (Kind.DNS, dns_names), (Kind.CN, [common_name] if common_name else []))
    for kind, names in given:
        if names:
            # One that cannot be shown is no identity, and the weaker kinds are none in its place.
            good = tuple(_folded(kind, name) for name in names if name.isprintable() and 0 < len(name) <= _LONGEST)
            return Shown(kind, good, until) if good else None
    return None


class Mapping(BaseModel):
    """Whom certificates with some identity stand for, and what these may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: str
    """`uri:`, `dns:` or `cn:` and a name. `*` stands for a part of it, between separators (`/` of a URI, `.` of a DNS
    name), `**` for several. There may be one in each part, and one `**`."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    principal: Annotated[str, Field(pattern=NAME)] | None = None
    """Whose sessions they are, for all that match together. Without it each identity is a principal of its own."""

    @field_validator("identity")
    @classmethod
    def _of_a_kind(cls, value: str) -> str:
        kind, colon, pattern = value.partition(":")
        if not colon or kind not in [*Kind] or not pattern or not pattern.isprintable():
            raise ValueError("must be uri:NAME, dns:NAME or cn:NAME")
        # More would take longer and longer to find that a long name does not match.
        parts = pattern.split(_SEPARATORS[Kind(kind)])
        if pattern.count("**") > 1 or any(len(_WILDCARD.findall(part)) > 1 for part in parts):
            raise ValueError("has more than one wildcard in a part, or more than one **")
        return value

    @property
    def kind(self) -> Kind:
        """Of which kind the names are."""
        return Kind(self.identity.partition(":")[0])

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a name matches as a whole."""
        separator = _SEPARATORS[self.kind]
        parts = {"**": ".+", "*": f"[^{separator}]+"}
        text = _folded(self.kind, self.identity.partition(":")[2])
        return re.compile("".join(parts.get(part) or re.escape(part) for part in _WILDCARD.split(text)))


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: tuple[Mapping, ...] = ()


class Mappings:
    """All that a file maps."""

    def __init__(self, mappings: Sequence[Mapping] = ()) -> None:
        self._mappings = mappings

    def __len__(self) -> int:
        return len(self._mappings)

    def find(self, certificate: Shown, now: float) -> Holder:
        """Return whom a certificate stands for: by the first mapping, in their order, that one of its names matches.

        `now` is by the wall clock, in seconds. Raises NotLetIn.
        """
        if certificate.until is not None and now >= certificate.until:
            raise NotLetIn(Reason.EXPIRED, "its certificate has expired since it connected")
        for mapping in self._mappings:
            if mapping.kind is certificate.kind:
                for name in certificate.names:
                    if mapping.pattern.fullmatch(name):
                        principal = PREFIX + (mapping.principal or f"{certificate.kind}:{name}")
                        return Holder(principal, mapping.scopes, certificate.until)
        identities = ", ".join(f"{certificate.kind}:{name}" for name in certificate.names[:3])
        raise NotLetIn(Reason.UNKNOWN_CERTIFICATE, f"no mapping is for its certificate, {identities[:200]}")


def parsed(content: bytes) -> Mappings:
    """Return what a file in TOML maps, a `[[certificate]]` for each. Raises ValueError; its text says what is wrong."""
    try:
        mappings = _Content.model_validate(tomllib.loads(content.decode())).certificate
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except UnicodeDecodeError:
        raise ValueError("this is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("too deeply nested") from None
    for identity, count in Counter(mapping.identity for mapping in mappings).items():
        if count > 1:
            raise ValueError(f"{identity} is in it twice")
    return Mappings(mappings)


def _folded(kind: Kind, name: str) -> str:
    return name.lower() if kind is Kind.DNS else name
