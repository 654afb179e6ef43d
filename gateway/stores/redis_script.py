"""The script by which the Redis store does everything: one text, known to Redis by its digest once it has seen it."""

import hashlib
from collections.abc import Iterable
from importlib import resources

BEFORE, REST, BATCH = ("records", "turn", "calls"), ("events", "changes", "pages", "members", "writers"), "batch"
"""The files of `redis_scripts`, each using what is in those before. Those of the rest are one function, which runs only
when a batch needs it: to make all that is in them takes longer than a call."""

LOOK = 500
"""Entries of an index at which one run of the script looks: some milliseconds in which Redis does nothing else."""

SCHEMA = 2
"""Of the keys. A data set of a newer one is refused."""


def script() -> str:
    """Return the text."""
    folder = resources.files("gateway.stores") / "redis_scripts"

    def joined(parts: Iterable[str]) -> str:
        return "\n".join((folder / f"{part}.lua").read_text() for part in parts)

    return "\n".join((joined(BEFORE), "function rest()", joined(REST), "end", joined([BATCH])))


TEXT = script()
DIGEST = hashlib.sha1(TEXT.encode(), usedforsecurity=False).hexdigest()
