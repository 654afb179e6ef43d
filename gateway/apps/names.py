"""How apps and versions are named: `name`, `name@version`, `name@latest`; a name may have a namespace, `acme/name`."""

import re
from dataclasses import dataclass
from functools import lru_cache

LATEST = "latest"
"""Stands for the current version. No version can have this name."""

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:/{_PART})?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

RULE = "letters, digits and . _ - between them, at most 64, with an optional namespace: kv, acme/kv"


@dataclass(frozen=True, slots=True)
class AppQuery:
    """An app as a caller names it. `version` is "" when the current one is meant."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.version or LATEST}"


@lru_cache(maxsize=1024)  # of every call; what is refused is not kept
def parse(text: str) -> AppQuery:
    """Read `name` or `name@version`. Raises ValueError with a text that says what a name looks like."""
    name, at, version = text.partition("@")
    if not _NAME.fullmatch(name):
        raise ValueError(f"is not an app's name ({RULE})")
    if at and not _VERSION.fullmatch(version):
        raise ValueError("has a version that is none (name@version, or name@latest)")
    return AppQuery(name, "" if version == LATEST else version)


def check_name(name: str) -> str:
    """Return the name if it is one. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not an app's name ({RULE})")
    return name
