"""As what a gateway comes to a prefix: as the only one, or as one of several members."""

import logging
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.shards import Hold, Peer, Shards, Table
from gateway.stores.base import StoreFailure, StoreProblem
from gateway.stores.redis_connection import Word
from gateway.stores.redis_script import SCHEMA
from gateway.stores.redis_turns import Turns
from gateway.timing import REDIS_CLAIM, REDIS_WRITER

logger = logging.getLogger("gateway.stores")

_NAME = 16
"""Letters by which a data set is known. Those behind them are the secret."""

_NOT_A_MEMBER: tuple[Word, ...] = (b"", b"", b"", b"")


class Standing(Protocol):
    """What a store says of itself when it enters, and how it stays known."""

    def words(self) -> tuple[Word, ...]:
        """Return the first arguments of `enter` in the scripts."""

    def named(self, random: str) -> str:
        """Return the letters by which a new data set is known, and the secret of its members."""

    def entered(self, answer: Any) -> None:
        """Take what `enter` has answered."""

    async def remain(self, turns: Turns) -> None:
        """Stay known. Raises StoreFailure."""

    def fenced(self) -> None:
        """Hear that others have what was this gateway's."""

    def farewell(self) -> tuple[Word, ...]:
        """Return the arguments of `leave`."""


@dataclass(frozen=True)
class Claim:
    """A gateway's claim to have a prefix for itself."""

    holder: str
    """The same for a gateway that is started again: that one need not wait for the claim of the one before."""
    who: str
    """For people: which gateway it is."""

    def words(self) -> tuple[Word, ...]:
        return (*self._claim(), SCHEMA, *_NOT_A_MEMBER)

    def named(self, random: str) -> str:
        return random

    def entered(self, answer: Any) -> None:
        pass

    async def remain(self, turns: Turns) -> None:
        refusal = await turns.run(b"remain", *self._claim())
        if refusal:
            raise StoreFailure(StoreProblem.GONE, refused(refusal))

    def fenced(self) -> None:
        pass

    def farewell(self) -> tuple[Word, ...]:
        return b"", b""

    def _claim(self) -> tuple[Word, ...]:
        return self.who.encode(), self.holder.encode(), round(REDIS_CLAIM * 1000), round(REDIS_WRITER)


NO_CLAIM = Claim("", "")
"""Of a store that asks nobody whether it may."""


@dataclass
class Membership:
    """One of several gateways on the prefix."""

    shards: Shards
    """What is kept up to date here."""
    who: str
    """For people: which gateway it is."""
    agreed: str
    """What the settings of all members must have in common."""
    lease: float
    """Seconds for which it counts as alive after it was last heard of."""
    address: str = ""
    """Where the other gateways reach it. Set before the store is opened."""
    watches: bool = False
    """Whether it wants to hear what happens to sessions of others."""
    hands_on: bool = True
    """Whether, when it leaves, others may have its shards at once. If not they are kept for it, as after a crash."""
    secret: bytes = b""
    """What all members know and nobody else, once it has entered."""
    _held: str = ""
    _again: bool = False

    def words(self) -> tuple[Word, ...]:
        name = self.shards.name.encode()
        member = self.address.encode(), self.agreed.encode(), self._held.encode(), b"1" if self._again else b""
        return (self.who.encode(), name, self._milliseconds, round(REDIS_WRITER), SCHEMA, *member)

    def named(self, random: str) -> str:
        # A secret outlives the data set: connections and workers are proven by it.
        return random[:_NAME] + (self.secret.hex() or random[_NAME:])

    def entered(self, answer: Any) -> None:
        own, self.secret, table = answer[2].decode(), bytes.fromhex(answer[3].decode()), table_of(answer[4])
        before, self._again = self.shards.table, False
        if own:
            self.shards.entered(own, table)
        self._told(table)
        self.shards.miss(before, self._now)

    async def remain(self, turns: Turns) -> None:
        own, watches = self.shards.own.encode(), b"1" if self.watches else b""
        name = self.shards.name.encode()
        self._told(table_of(await turns.run(b"beat", name, self._milliseconds, round(REDIS_WRITER), watches, own)))
        self.shards.still_miss(self._now)

    def fenced(self) -> None:
        self._held, self._again = "", True

    def farewell(self) -> tuple[Word, ...]:
        return self.shards.name.encode(), b"" if self.hands_on else self._milliseconds

    @property
    def _milliseconds(self) -> int:
        return round(self.lease * 1000)

    @property
    def _now(self) -> int:
        """When the store made the table, on its clock, in milliseconds."""
        own = self.shards.table.peers.get(self.shards.name)
        return 0 if own is None else own.alive_until - self._milliseconds

    def _told(self, table: Table) -> None:
        self.shards.told(table)
        self._held = " ".join(f"{shard} {epoch}" for shard, epoch in table.held_by(self.shards.name).items())


def table_of(answer: Any) -> Table:
    """Return what the scripts say of members and shards."""
    members, flat = answer
    peers = [Peer(m[0].decode(), int(m[1]), m[2].decode(), m[3].decode(), bool(m[4])) for m in members]
    shards = {}
    for shard, entry in zip(flat[::2], flat[1::2], strict=True):
        epoch, _, name = entry.decode().partition(" ")
        shards[shard.decode()] = Hold(int(epoch), name)
    return Table({peer.name: peer for peer in peers}, shards)


def checked(answer: Any) -> None:
    """Look at the answer to `enter`. Raises StoreFailure."""
    if answer[0] == b"fenced":
        raise StoreFailure(StoreProblem.FENCED, "what this gateway had was given to another one")
    if answer[0] != b"entered":
        raise StoreFailure(StoreProblem.GONE, refused(answer))


def refused(answer: Any) -> str:
    """Return in words why a gateway cannot have a prefix, or cannot be one of several on it."""
    why, *rest = (part.decode() for part in answer)
    return _REFUSALS[why].format(*rest, schema=SCHEMA, claim=REDIS_CLAIM)


_REFUSALS = {
    "newer": "it was written by a newer release (schema {0}, this one knows {schema})",
    "held": "another gateway has this prefix ({0}): stop it, or give one of the two another store.prefix; one that was "
    "killed keeps it for {claim:g} s",
    "alone": "a gateway has this prefix for itself ({0}): start it with cluster.listen too, or give this one another "
    "store.prefix; one that was killed keeps it for {claim:g} s",
    "members": "several gateways have this prefix, or have left sessions on it ({0}): start this one with "
    "cluster.listen too, or give it another store.prefix",
    "differs": "the gateways on this prefix have other settings: {0} ({1}); give all of them the same",
    "twin": "another gateway with a copy of this data directory is on this prefix ({0}): give each its own",
}
