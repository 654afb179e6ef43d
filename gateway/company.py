"""What one gateway process has to do with the others beside it: requests and hints for them, room, and the end."""

import asyncio
from pathlib import Path

from gateway.board import Figure, Member, Standing
from gateway.clock import Clock
from gateway.config import Settings
from gateway.rpc.peers.exchange import Exchange
from gateway.rpc.peers.processes import Processes
from gateway.rpc.peers.routes import Routes
from gateway.rpc.peers.wire import Kind
from gateway.sessions.watch import News
from gateway.tidings import Tidings
from gateway.timing import QUIET_POLL
from gateway.workers.place import Place
from gateway.workers.scheduled import ScheduledPool


class Company:
    """One process among several. Whoever calls `join` calls `leave`."""

    def __init__(self, member: Member, place: Place, directory: Path, settings: Settings, clock: Clock) -> None:
        """`directory` is that of the workers."""
        self.exchange = Exchange(
            Processes(member, directory), Routes(place.share, member, place.room, settings.workers.max_shared)
        )
        self._member = member
        self._room = place.room
        self._clock = clock

    def introduce(self, news: News, pool: ScheduledPool) -> None:
        """Connect the news and the workers of this process with those of the others."""
        Tidings(self.exchange, self._watching).connect(news)
        news.on_change = lambda: self._member.show(Figure.WATCHES, len(news))
        self._room.wake = lambda other: self.exchange.hint(other, Kind.ROOM)
        self.exchange.on_hint[Kind.ROOM] = lambda _: pool.look_again()

    async def join(self) -> None:
        """Answer the others from now on."""
        await self.exchange.start()
        self._member.show(Figure.STANDING, Standing.SERVING)

    async def all_quiet(self, until: float, hurry: asyncio.Event) -> None:
        """Return when no call is in flight in any process: until then this one may have to answer for its sessions.

        No later than `until`, on the monotonic clock, and not after `hurry`. One that drains by itself waits for none.
        """
        while self._clock.now().monotonic < until and not hurry.is_set():
            if not self.exchange.outgoing:
                self._member.show(Figure.STANDING, Standing.QUIET)
                if not self._member.board.stopping or not any(map(self._is_busy, self._member.others())):
                    return
            await asyncio.sleep(QUIET_POLL)

    async def leave(self) -> None:
        """Answer nobody any more."""
        self._member.show(Figure.STANDING, Standing.DOWN)
        await self.exchange.close()

    def _is_busy(self, other: int) -> bool:
        return self._member.board.shown(other, Figure.STANDING) == Standing.SERVING

    def _watching(self) -> list[int]:
        return [other for other in self._member.others() if self._member.board.shown(other, Figure.WATCHES)]
