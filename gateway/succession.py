"""Who takes over the sessions of a gateway that is gone, and when.

A gateway counts as dead when this one, itself in touch with the store all the while, has seen no sign of it for the
time of the settings, by its own clock; and the store agrees, by its own, in the step in which a shard moves. So nobody
is taken for dead while the store is away, or because a clock was set.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.model import Session
from gateway.shards import Hold, Shards

logger = logging.getLogger("gateway")


class Estate(Protocol):
    """What the store does of it. Each raises StoreUnavailable."""

    async def take(self, shard: str, holder: str, alive_until: int) -> bool:
        """Have a shard from now on. Returns False when it is too early, or too late."""

    async def inherit(self, shard: str) -> list[Session]:
        """Return the active sessions of a shard that this gateway has, to be taken over."""


class _Sign(NamedTuple):
    """The last sign of a gateway."""

    alive_until: int
    seen: float


class Succession:
    """Looks at the table of who has what, after each time that it was brought up to date."""

    def __init__(
        self,
        shards: Shards,
        estate: Estate,
        clock: Clock,
        patience: float,
        *,
        take_over: Callable[[list[Session]], Awaitable[None]],
        drop: Callable[[str], object],
    ) -> None:
        """`patience`: seconds without a sign. `take_over` takes sessions into the hands of this gateway; `drop` lets go
        of those of a shard for which that has failed.
        """
        self.taking = True
        """Whether anything is taken of others: not by a gateway that is about to go itself."""
        self._shards, self._estate, self._clock, self._patience = shards, estate, clock, patience
        self._take_over, self._drop = take_over, drop
        self._signs: dict[str, _Sign] = {}
        self._last_look = -1e9
        self._vacant: dict[str, float] = {}

    def silent(self, name: str) -> bool:
        """Whether a gateway has given no sign for so long that it counts as dead."""
        sign = self._signs.get(name)
        return sign is not None and self._last_look - sign.seen > self._patience

    async def look(self, turn: float) -> bool:
        """Take what is to be taken. Returns whether anything was, so that the table is old.

        Those with fewer shards are before those with more, by `turn` seconds each.
        """
        self._notice()
        for shard in list(self._shards.untaken()):
            await self._adopt(shard)
        if not self.taking:
            return False
        now = self._clock.now().monotonic
        vacant = {shard: hold for shard, hold in self._shards.table.shards.items() if self._is_vacant(hold)}
        self._vacant = {shard: self._vacant.get(shard, now) for shard in vacant}
        for shard, hold in vacant.items():
            if now - self._vacant[shard] < self._place() * turn:
                continue
            sign = self._signs.get(hold.name)
            if await self._estate.take(shard, hold.name, 0 if sign is None else sign.alive_until):
                peer = self._shards.table.peers.get(hold.name)
                whose = f"the gateway at {peer.address}" if peer is not None and peer.address else "one that has left"
                logger.warning("took over the sessions of shard %s from %s", shard, whose)
                return True
        return False

    def lost_touch(self) -> None:
        """Hear that the store was away, and with it all signs."""
        self._signs.clear()
        self._vacant.clear()

    def _notice(self) -> None:
        now = self._clock.now().monotonic
        if now - self._last_look > self._patience / 2:
            self._signs.clear()  # this gateway was held up, or the store was away: nothing was seen meanwhile
        self._last_look = now
        signs = {}
        for name, peer in self._shards.table.peers.items():
            sign = self._signs.get(name)
            signs[name] = (
                sign if sign is not None and sign.alive_until == peer.alive_until else _Sign(peer.alive_until, now)
            )
        self._signs = signs

    def _is_vacant(self, hold: Hold) -> bool:
        if hold.name == self._shards.name:
            return False
        return not hold.name or hold.name not in self._shards.table.peers or self.silent(hold.name)

    def _place(self) -> int:
        """Return how many living gateways have fewer shards than this one."""
        counts = {name: 0 for name in self._shards.table.peers if not self.silent(name)}
        for hold in self._shards.table.shards.values():
            if hold.name in counts:
                counts[hold.name] += 1
        own = counts.get(self._shards.name, 0), self._shards.name
        return sum((count, name) < own for name, count in counts.items())

    async def _adopt(self, shard: str) -> None:
        try:
            await self._take_over(await self._estate.inherit(shard))
        except GatewayError as error:
            logger.warning("the sessions of shard %s cannot be taken over yet: %s", shard, error.message)
            self._drop(shard)
        else:
            self._shards.taken.add(shard)
