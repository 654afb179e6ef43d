"""Which of several gateways on one store has which sessions.

All sessions that a gateway opens are of one shard, which is made anew whenever it enters, and which their ids carry. So
an id and a small table in memory say who has the session. The store says what is in the table; it moves a shard from
one gateway to another in one step. Ids of workers carry the same shard: whoever takes a session over has its worker.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.model import SESSION_ID_LENGTH, WORKER_ID_LENGTH, WORKER_ID_PREFIX

NO_SHARD = "-"
"""Stands for what is without a shard: sessions of a gateway that had the store for itself."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One gateway on the store."""

    name: str
    """The same when it is started again."""
    alive_until: int
    """Milliseconds on the store's clock."""
    writer: str
    """Names this run of it. Empty for one that has left, and whose shards are kept for it."""
    address: str
    """Where the other gateways reach it."""
    watches: bool
    """Whether it wants to hear what happens to sessions of others."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Who has a shard."""

    epoch: int
    """How often it has changed hands."""
    name: str
    """Empty: nobody, and anybody may have it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Who is there and who has what, as the store had it at one moment."""

    peers: Mapping[str, Peer] = field(default_factory=dict)
    """By name."""
    shards: Mapping[str, Hold] = field(default_factory=dict)

    def held_by(self, name: str) -> dict[str, int]:
        """Return the shards of a gateway with their epochs."""
        return {shard: hold.epoch for shard, hold in self.shards.items() if hold.name == name}


class Shards:
    """What one gateway knows of that, and which shards are in its hands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.own = ""
        """The shard of the sessions that it opens."""
        self.table = Table()
        self.taken: set[str] = set()
        """Those whose sessions are in its hands: shards that are its own in the table, once it has taken them over."""
        self.missing: dict[str, Peer] = {}
        """Shards of others that went with the records, with who had them: these put them back, or count as dead."""

    def owns(self, key: str) -> bool:
        """Whether this gateway has the session of this id."""
        return shard_of(key) in self.taken

    def elsewhere(self, key: str) -> bool:
        """Whether the session of this id, if it is active, is another gateway's, or not yet in the hands of this one.
        That may be one that the table does not know yet.
        """
        return not self.owns(key)

    def drawn(self, new_id: Callable[[], str]) -> str:
        """Return the id of a session that this gateway opens, or of a worker. `new_id` makes one at random."""
        return new_id() + self.own

    def knows(self, key: str) -> bool:
        """Whether the table has the shard of this id."""
        shard = shard_of(key)
        return shard in self.table.shards or shard in self.missing

    def holder(self, key: str) -> Peer | None:
        """Return the gateway that has the session of this id; None when nobody is known to."""
        shard = shard_of(key)
        hold = self.table.shards.get(shard)
        return self.missing.get(shard) if hold is None else self.table.peers.get(hold.name)

    def untaken(self) -> Iterator[str]:
        """Yield the shards that are this gateway's and whose sessions are not in its hands."""
        return iter(sorted(self.table.held_by(self.name).keys() - self.taken))

    def entered(self, own: str, table: Table) -> None:
        """Begin: nothing is in this gateway's hands but the shard of the sessions that it will open."""
        self.own, self.table, self.taken = own, table, {own}

    def miss(self, before: Table, now: int) -> None:
        """Remember what was in the table and is not, until those who had it would count as dead. `now` is in
        milliseconds on the store's clock.
        """
        for shard, hold in before.shards.items():
            peer = before.peers.get(hold.name)
            if peer is not None and peer.name != self.name:
                self.missing[shard] = peer
        self.still_miss(now)

    def still_miss(self, now: int) -> None:
        """Forget those that are there again, or for whom it is too late."""
        if self.missing:
            there = self.table.shards
            self.missing = {s: peer for s, peer in self.missing.items() if s not in there and peer.alive_until > now}

    def told(self, table: Table) -> None:
        """Take what the store says now."""
        self.table = table
        self.taken &= table.held_by(self.name).keys()


def shard_of(key: str) -> str:
    """Return the shard that the id of a session or of a worker carries."""
    length = WORKER_ID_LENGTH if key.startswith(WORKER_ID_PREFIX) else SESSION_ID_LENGTH
    return key[length:] or NO_SHARD
