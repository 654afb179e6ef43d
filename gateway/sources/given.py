"""One value that somebody has set, and where."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

Key = tuple[str, ...]
"""The path of a setting, such as `("workers", "min_idle")`; an entry of a setting that is a table has one part more."""

Known = Mapping[Key, bool]
"""Every setting, and whether it is a table with keys of the user's choice."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""What needs no quotes in TOML."""

Kind = Literal["default", "file", "environment", "flag"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    kind: Kind
    name: str = ""
    """What to look for: `PATH:LINE`, the variable, or the flag. Nothing for a default."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()

    def problem(self, key: Key, text: str) -> str:
        """Return the line that tells what is wrong there."""
        return f"{self.name}: {dotted(key)}: {text}" if self.kind == "file" else f"{self.name or dotted(key)}: {text}"


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was found, not checked."""

    value: Any
    origin: Origin


def dotted(key: Key) -> str:
    """Return the key as TOML has it."""
    return ".".join(part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in key)


def sections(known: Known) -> set[str]:
    """Return the names of the tables that have settings."""
    return {key[0] for key in known if len(key) > 1}


def similar(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that offers the most similar of some names; nothing if none is similar."""
    found = get_close_matches(name, list(names), n=1)
    return f"; did you mean {found[0]}?" if found else ""
