"""The script by which the Redis store does everything: one text, known to Redis by its digest once it has seen it."""

import hashlib
from importlib import resources

PARTS = ("records", "events", "calls", "pages", "members", "writers", "batch")
"""The files of `redis_scripts`, each using what is in those before."""

LOOK = 500
"""Entries of an index at which one run of the script looks: some milliseconds in which Redis does nothing else."""

SCHEMA = 2
"""Of the keys. A data set of a newer one is refused."""


def script() -> str:
    """Return the text."""
    folder = resources.files("gateway.stores") / "redis_scripts"
    return "\n".join((folder / f"{part}.lua").read_text() for part in PARTS)


TEXT = script()
DIGEST = hashlib.sha1(TEXT.encode(), usedforsecurity=False).hexdigest()
