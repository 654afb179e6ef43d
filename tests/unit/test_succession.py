"""When a gateway takes over from another, on a clock that the test moves and a store that says what it is told to."""

from dataclasses import dataclass, field, replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.model import Session
from gateway.shards import Hold, Peer, Shards, Table, shard_of
from gateway.succession import Succession
from gateway.testing.clock import FakeClock
from gateway.testing.store_harness import a_session

PATIENCE, BEAT = 10.0, 1.0


@dataclass
class World:
    """A store with two other gateways, and the one that looks."""

    clock: FakeClock = field(default_factory=FakeClock)
    shards: Shards = field(default_factory=lambda: Shards("me"))
    taken: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    fails: bool = False

    def __post_init__(self) -> None:
        peers = {name: Peer(name, 0, f"writer of {name}", "somewhere:1", False) for name in ("me", "alive", "dead")}
        holds = {"mine": Hold(1, "me"), "theirs": Hold(1, "alive"), "left": Hold(1, "dead")}
        self.shards.entered("mine", Table(peers, holds))
        self.succession = Succession(
            self.shards, self, self.clock, PATIENCE, take_over=self._take_over, drop=self.dropped.append
        )

    async def take(self, shard: str, holder: str, alive_until: int) -> bool:
        del holder, alive_until
        self.taken.append(shard)
        table = self.shards.table
        self.shards.told(Table(table.peers, {**table.shards, shard: Hold(2, "me")}))
        return True

    async def inherit(self, shard: str) -> list[Session]:
        return [replace(a_session(), id=a_session().id + shard)]

    async def _take_over(self, sessions: list[Session]) -> None:
        if self.fails:
            raise StoreUnavailable("away")
        self.adopted += [shard_of(session.id) for session in sessions]

    async def beats(self, count: int, *silent: str) -> None:
        """Let time pass, with a sign of everybody but the silent at each beat."""
        for _ in range(count):
            await self.clock.advance(BEAT)
            table = self.shards.table
            peers = {
                name: peer if name in silent else replace(peer, alive_until=peer.alive_until + 1)
                for name, peer in table.peers.items()
            }
            self.shards.told(Table(peers, table.shards))
            await self.succession.look(BEAT)


async def test_one_that_is_not_heard_of_is_succeeded_after_that_time_and_not_before() -> None:
    world = World()
    await world.beats(1)
    await world.beats(int(PATIENCE), "dead")
    assert (world.taken, world.succession.silent("dead")) == ([], False)
    await world.beats(3, "dead")
    assert (world.taken, world.adopted) == (["left"], ["left"])
    assert world.shards.taken == {"mine", "left"}


async def test_who_was_held_up_itself_has_seen_nothing_and_waits_anew() -> None:
    world = World()
    await world.beats(5, "dead")
    await world.clock.advance(PATIENCE)
    await world.beats(int(PATIENCE), "dead")
    assert world.taken == []
    await world.beats(3, "dead")
    assert world.taken == ["left"]


async def test_nobody_is_succeeded_for_the_time_in_which_the_store_was_away() -> None:
    world = World()
    await world.beats(int(PATIENCE), "dead")
    world.succession.lost_touch()
    await world.beats(int(PATIENCE), "dead")
    assert world.taken == []


async def test_what_is_free_is_taken_at_once_but_by_one_that_is_about_to_go() -> None:
    world = World()
    table = world.shards.table
    world.shards.told(Table(table.peers, {**table.shards, "left": Hold(1, "")}))
    world.succession.taking = False
    await world.beats(3)
    assert world.taken == []
    world.succession.taking = True
    await world.beats(3)  # the others, with as many shards, are before it
    assert world.taken == ["left"]


async def test_who_has_fewer_shards_is_before_who_has_more() -> None:
    world = World()
    table = world.shards.table
    more = {f"more{number}": Hold(1, "me") for number in range(2)}
    world.shards.told(Table(table.peers, {**table.shards, **more, "left": Hold(1, "")}))
    await world.beats(2)
    assert world.taken == []  # it is the turn of the two others
    await world.beats(1)
    assert world.taken == ["left"]


async def test_what_cannot_be_taken_over_yet_is_dropped_and_tried_again() -> None:
    world = World(fails=True)
    table = world.shards.table
    world.shards.told(Table(table.peers, {**table.shards, "more": Hold(1, "me")}))
    await world.beats(2)
    assert (world.dropped, world.shards.taken) == (["more", "more"], {"mine"})
    world.fails = False
    await world.beats(1)
    assert (world.adopted, world.shards.taken) == (["more"], {"mine", "more"})


@pytest.mark.parametrize(
    ("shard", "owns", "elsewhere"), [("mine", True, False), ("left", False, True), ("x", False, True)]
)
def test_an_id_says_whose_the_session_is(shard: str, owns: bool, elsewhere: bool) -> None:
    shards = World().shards
    session_id = a_session().id + shard
    assert (shards.owns(session_id), shards.elsewhere(session_id)) == (owns, elsewhere)
