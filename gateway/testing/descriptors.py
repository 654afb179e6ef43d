"""The descriptors that this process has open: none may be left behind."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from gateway.testing.waiting import until

Descriptors = Mapping[str, str]
"""What is open, by number."""


def descriptors() -> Descriptors:
    """Return the descriptors of this process, but for the one that this takes."""
    found = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            found[entry.name] = str(entry.readlink())
    return found


async def none_left(before: Descriptors) -> None:
    """Wait until no more are open than before. Raises AssertionError, with those that are.

    A wait, since others may have one for a moment that they close themselves: gRPC's threads, whose clients of other
    tests have yet to go.
    """
    try:
        await until(lambda: len(descriptors()) <= len(before))
    except TimeoutError:
        more = {number: what for number, what in descriptors().items() if before.get(number) != what}
        raise AssertionError(f"{len(more)} left open: {more}") from None
