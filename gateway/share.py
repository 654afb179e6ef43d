"""Which of several gateway processes on one data directory has what: a function of an id, and a part of a limit."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Owning(Protocol):
    """Which sessions are this process's."""

    def owns(self, key: str) -> bool:
        """Whether the session of this id is."""

    def elsewhere(self, key: str) -> bool:
        """Whether it is another gateway's, so that it cannot be said here how it stands."""

    def drawn(self, new_id: Callable[[], str]) -> str:
        """Return a new id of a session or a worker that this process is to have. `new_id` makes one at random."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one process. `Share()` is a gateway of one process, which has everything."""

    index: int = 0
    count: int = 1

    def owner(self, key: str) -> int:
        """Return the process that has what this id names: the same in every process, and after every restart with as
        many of them.
        """
        return zlib.crc32(key.encode("utf-8", "surrogatepass")) % self.count

    def owns(self, key: str) -> bool:
        """Whether this process has what the id names."""
        return self.count == 1 or self.owner(key) == self.index

    def elsewhere(self, key: str) -> bool:
        """Never: a request comes to the process that it is for, and to no other."""
        return False

    def drawn(self, new_id: Callable[[], str]) -> str:
        """Return a new id of something that this process is to have. `new_id` makes one at random."""
        while True:
            drawn = new_id()
            if self.owns(drawn):
                return drawn

    def part(self, total: int) -> int:
        """Return this process's part of a number: the parts of all of them add up to it, and differ by one at most."""
        return (total + self.count - 1 - self.index) // self.count


WHOLE = Share()
