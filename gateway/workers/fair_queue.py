"""Whose turn it is among those who wait."""

from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Generic, Protocol, TypeVar


class Owned(Protocol):
    """What waits on behalf of someone."""

    @property
    def owner(self) -> str:
        """Who that is."""


T = TypeVar("T", bound=Owned)


class FairQueue(Generic[T]):
    """A queue in which owners take turns: one with a thousand requests does not make another wait for all of them.

    Round robin, as in John Nagle's fair queuing (RFC 970): who has been served goes behind all others who wait. What
    one owner waits for comes in the order in which it was added.
    """

    def __init__(self) -> None:
        # In the order of their turns. The dictionaries are ordered sets, of which anything is removed at once.
        self._lines: dict[str, dict[T, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __contains__(self, item: T) -> bool:
        return item in self._lines.get(item.owner, ())

    def __iter__(self) -> Iterator[T]:
        """Iterate in the order in which they will be served. Nothing may be added or removed meanwhile."""
        rounds = zip_longest(*self._lines.values())
        return (item for item in chain.from_iterable(rounds) if item is not None)

    def add(self, item: T) -> None:
        """Let something wait."""
        self._lines.setdefault(item.owner, {})[item] = None

    def serve(self, item: T) -> None:
        """Remove something that has got what it waited for: its owner's next turn comes after that of the others."""
        line = self._lines.pop(item.owner)
        del line[item]
        if line:
            self._lines[item.owner] = line

    def remove(self, item: T) -> None:
        """Remove something that waits no longer. The turns stay as they are."""
        line = self._lines[item.owner]
        del line[item]
        if not line:
            del self._lines[item.owner]
