"""Sessions in Redis or Valkey: the store for gateways that are to outlive their machine.

What the keys are, and everything that happens to them, is in the scripts beside this module (`redis_scripts`). Each
operation is one round trip, which it shares with those that come in the same moment (`gateway.stores.redis_turns`).
All keys of a store have one hash tag, so that a script is one atomic step in a cluster too.
"""

import asyncio
import logging
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from gateway.clock import Clock, Instant
from gateway.errors import WorkerExit
from gateway.model import TRANSITIONS, EndReason, Session, SessionStatus
from gateway.shards import NO_SHARD
from gateway.store_settings import StoreSettings
from gateway.stores.base import (
    EventPage,
    EventsForgotten,
    InvalidCursor,
    Page,
    SessionFilter,
    SessionStore,
    StoredEvent,
    StoreFailure,
    StoreProblem,
)
from gateway.stores.redis_calls import KnownSessions
from gateway.stores.redis_claims import Membership, Standing
from gateway.stores.redis_clock import GatewayTime, ServerTime
from gateway.stores.redis_connection import Word
from gateway.stores.redis_link import Link, Server
from gateway.stores.redis_rows import as_answered, or_nothing, position_of, session_of, text, values_of, words_of
from gateway.stores.redis_server import RedisServer
from gateway.stores.redis_turns import Turns
from gateway.timing import REDIS_RECORD_GRACE, STORE_END_DELAY

logger = logging.getLogger("gateway.stores")

_EVENT_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9a-f]{16})", re.ASCII)

_SHORT = 5
"""Values of an answer that says only what calls change."""

_AT_ONCE = 500
"""Sessions that one step restores: some ten milliseconds in which Redis does nothing else."""


class RedisStore(SessionStore):
    """Sessions under one prefix of a Redis."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        *,
        prefix: str = "sgw",
        retention: float = 24 * 3600.0,
        time: ServerTime | None = None,
        claim: Standing | None = None,
    ) -> None:
        """`prefix` is without the braces of the hash tag. Finished sessions go by themselves a while after `retention`
        seconds. `time` is the difference to the server's clock, none unless it is given. With a `Claim` nobody else may
        have the prefix at the same time, with a `Membership` other members may.
        """
        self.membership = claim if isinstance(claim, Membership) else None
        self._time = time or GatewayTime()
        self._known = KnownSessions()
        kept = round(retention + REDIS_RECORD_GRACE)
        self._turns = Turns(f"{{{prefix}}}:", kept, self._known, self._time)
        self._link = Link(server, clock, self._time, self._turns, claim)
        self._ends: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        await self._link.open()

    async def close(self) -> None:
        self._cancel_ends()
        if not self._turns.open:
            return
        self._turns.write_ends()
        await self._turns.quiet()
        if self._known.unwritten:
            logger.warning("the ends of %d calls are not on record", len(self._known.unwritten))
        await self._link.close()

    async def quiet(self) -> bool:
        """Wait until no operation is on its way to Redis. Returns whether there was any."""
        return await self._turns.quiet()

    async def create(self, session: Session, hold_until: float = 0.0, at_most: int | None = None) -> bool:
        values = values_of(session, self._time.offset)
        limit = b"" if at_most is None else at_most
        answer = await self._turns.run(
            b"create", hold_until + self._time.offset, limit, *values, changes=(session.id,), ends_of=(session.id,)
        )
        if answer == b"taken":
            raise ValueError(f"session {session.id} exists")
        if answer == b"over":
            return False
        self._known.learn(session)
        return True

    async def get(self, session_id: str, owner: str | None = None) -> Session | None:
        known = self._known.get(session_id)
        # Writing down the ends of calls takes time, which would tell others that there are some.
        own = owner is None or (known is not None and known.owner == owner)
        row = await self._turns.run(
            b"get",
            text(session_id),
            b"" if owner is None else text("=" + owner),
            ends_of=(session_id,) if own else (),
        )
        return session_of(row, self._time.offset) if row else None

    async def admit(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        known, moment = self._known.get(session_id), self._moment(now)
        row = await self._turns.run(
            b"admit",
            session_id.encode(),
            *moment,
            hold_until + self._time.offset,
            -1 if known is None else known.epoch,
            changes=(session_id,),
            ends_of=(session_id,),
        )
        return self._learned(session_id, known, row)

    async def finish(self, session_id: str, now: Instant, *, started: bool) -> Session | None:
        if started:
            session = self._known.finish_later(session_id, now)
            if session is not None:
                self._write_ends_in(STORE_END_DELAY)
                return session
        known = self._known.get(session_id)
        row = await self._turns.run(
            b"finish",
            session_id.encode(),
            now.monotonic + self._time.offset,
            now.wall,
            0 if started else 1,
            -1 if known is None else known.epoch,
            changes=(session_id,),
            ends_of=(session_id,),
            surely=True,
        )
        return self._learned(session_id, known, row)

    async def adopt(
        self,
        session_id: str,
        *,
        in_flight: int,
        call_count: int | None,
        hold_until: float,
        active_at: Instant | None = None,
    ) -> Session | None:
        at: tuple[Word, Word] = (b"", b"")
        if active_at is not None:
            at = active_at.monotonic + self._time.offset, active_at.wall
        row = await self._turns.run(
            b"adopt",
            text(session_id),
            *at,
            in_flight,
            or_nothing(call_count),
            hold_until + self._time.offset,
            changes=(session_id,),
            ends_of=(session_id,),
            surely=True,
        )
        return self._learned(session_id, None, row)

    async def hold(self, session_ids: Iterable[str], hold_until: float) -> None:
        ids = [text(session_id) for session_id in session_ids]
        if ids:
            # What is known of them has no hold: nothing of it is changed.
            await self._turns.run(b"hold", hold_until + self._time.offset, *ids, changes=True)

    async def renew(self, session_id: str, now: Instant) -> Session | None:
        known = self._known.get(session_id)
        row = await self._turns.run(
            b"renew",
            text(session_id),
            *self._moment(now),
            -1 if known is None else known.epoch,
            changes=(session_id,),
            ends_of=(session_id,),
        )
        return self._learned(session_id, known, row)

    async def end(
        self,
        session_id: str,
        reason: EndReason,
        now: Instant,
        worker_exit: WorkerExit | None = None,
        *,
        running: int | None = None,
    ) -> Session | None:
        exit_ = worker_exit or WorkerExit()
        row = await self._turns.run(
            b"end",
            text(session_id),
            now.wall,
            text(TRANSITIONS[SessionStatus.ACTIVE, reason].value),
            text(reason.value),
            or_nothing(exit_.exit_code),
            or_nothing(exit_.signal),
            or_nothing(running),
            changes=(session_id,),
            ends_of=(session_id,),
            surely=True,
        )
        return self._learned(session_id, None, row)

    async def expire_if_due(self, session_id: str, now: Instant) -> Session | None:
        _, wall, seen = self._moment(now)
        row = await self._turns.run(
            b"expire", text(session_id), seen, wall, changes=(session_id,), ends_of=(session_id,), surely=True
        )
        return self._learned(session_id, None, row)

    async def expire_due(self, session_ids: Sequence[str], now: Instant) -> Sequence[Session]:
        if not session_ids:
            return []
        _, wall, seen = self._moment(now)
        ids = [text(session_id) for session_id in session_ids]
        rows = await self._turns.run(
            b"expire_many", seen, wall, *ids, changes=session_ids, ends_of=session_ids, surely=True
        )
        sessions = [session_of(row, self._time.offset) for row in rows]
        for session in sessions:
            self._known.learn(session)
        return sessions

    async def renew_many(self, session_ids: Collection[str], owner: str, now: Instant) -> Collection[str]:
        wanted = list(dict.fromkeys(session_ids))
        if not wanted:
            return []
        ids = [text(session_id) for session_id in wanted]
        places = await self._turns.run(
            b"renew_many", *self._moment(now), text(owner), *ids, changes=wanted, ends_of=wanted
        )
        renewed = wanted if len(places) == len(wanted) else [wanted[place] for place in places]
        self._known.renewed(renewed, now)
        return renewed

    async def due(self, now: Instant, limit: int) -> Sequence[str]:
        _, _, seen = self._moment(now)
        mine = [NO_SHARD] if self.membership is None else sorted(self.membership.shards.taken)
        return [id.decode() for id in await self._turns.run(b"due", seen, limit, *map(text, mine), ends_of=None)]

    async def page(self, filter: SessionFilter, limit: int, cursor: str = "") -> Page:
        at: Word = position_of(cursor)
        wanted, found = words_of(filter), list[Any]()
        more = 1
        # One more than asked for tells whether there is a next page.
        while more and len(found) <= limit:
            at, more, rows = await self._turns.run(b"page", at, limit + 1 - len(found), *wanted, ends_of=None)
            found += rows
        sessions = [session_of(row, self._time.offset) for _, row in found[:limit]]
        return Page(sessions, found[limit - 1][0].decode() if len(found) > limit else "")

    async def count_active(self, owner: str, at_most: int) -> int:
        return int(await self._turns.run(b"count", text(owner), at_most))

    async def purge(self, ended_before: float) -> int:
        return await self._in_pieces(b"purge", ended_before)

    async def position(self) -> str:
        number, mark = await self._turns.run(b"position")
        return f"{number.decode()}.{mark.decode()}"

    async def events(self, filter: SessionFilter, after: str, limit: int) -> EventPage:
        match = _EVENT_CURSOR.fullmatch(after)
        if match is None:
            raise InvalidCursor(after)
        number, mark, events, more = match[1].encode(), match[2].encode(), list[StoredEvent](), 1
        wanted = words_of(filter)
        while more and len(events) < limit:
            answer = await self._turns.run(b"events", number, mark, limit - len(events), *wanted)
            if answer[0] == b"same":
                return EventPage((), after)
            if answer[0] != b"walked":
                raise EventsForgotten(after) if answer[0] == b"forgotten" else InvalidCursor(after)
            number, last_mark, more = answer[1:4]
            events += [
                StoredEvent(session_of(row, self._time.offset), f"{place.decode()}.{its_mark.decode()}")
                for place, its_mark, row in answer[4]
            ]
            after, mark = f"{number.decode()}.{last_mark.decode()}", b""
        return EventPage(events, after)

    async def forget_events(self, happened_before: float) -> int:
        return await self._in_pieces(b"forget", happened_before)

    async def restore(self, sessions: Sequence[Session], hold_until: float) -> None:
        """See `SessionStore.restore`. Some hundreds are one step: when a later one fails, those before are restored."""
        values = [values_of(session, self._time.offset) for session in sessions]
        for first in range(0, len(sessions), _AT_ONCE):
            part = sessions[first : first + _AT_ONCE]
            words = [word for row in values[first : first + _AT_ONCE] for word in row]
            ids = [session.id for session in part]
            await self._turns.run(b"restore", hold_until + self._time.offset, *words, changes=ids, surely=True)
            for session in part:
                self._known.restored(session)

    async def inspect(self) -> None:
        await self._link.inspect()

    async def recover(self, failure: StoreFailure) -> None:
        self._cancel_ends()
        await self._link.recover(failure)
        if failure.problem is StoreProblem.FENCED:
            self._known.forget_all()
        self._known.forget_known()
        if self._known.unwritten:
            self._write_ends_in(STORE_END_DELAY)

    async def take(self, shard: str, holder: str, alive_until: int) -> bool:
        """Have a shard from now on, of a member that counts as dead or that nobody has (""). Whatever the member may
        still send is refused. Returns False when it is not so, or no longer. `alive_until` is what the table said.
        """
        assert self.membership is not None
        name = self.membership.shards.name
        return bool(await self._turns.run(b"take", text(name), text(shard), text(holder), alive_until))

    async def inherit(self, shard: str) -> list[Session]:
        """Return the active sessions of a shard of this gateway's, each with an epoch raised by one."""
        found, looked, count = list[Session](), 0, _AT_ONCE
        while count == _AT_ONCE:
            words = text(shard), looked, _AT_ONCE
            count, rows = await self._turns.run(b"inherit", *words, changes=None, ends_of=None)
            looked += count
            found += [session_of(row, self._time.offset) for row in rows]
        return found

    def _moment(self, now: Instant) -> tuple[float, float, float]:
        """Return now, the wall clock, and the moment by which a session may be found due."""
        monotonic = now.monotonic + self._time.offset
        return monotonic, now.wall, monotonic - self._time.margin

    def _learned(self, session_id: str, known: Session | None, row: Any) -> Session | None:
        if not row:
            self._known.forget(session_id)
            return None
        if len(row) == _SHORT:
            assert known is not None
            session = as_answered(known, row, self._time.offset)
        else:
            session = session_of(row, self._time.offset)
        self._known.learn(session)
        return session

    async def _in_pieces(self, name: bytes, before: float) -> int:
        total, more = 0, 1
        while more:
            count, more = await self._turns.run(name, before, changes=True)
            total += count
        return total

    def _write_ends_in(self, delay: float) -> None:
        if self._ends is None:
            self._ends = asyncio.get_running_loop().call_later(delay, self._write_ends)

    def _write_ends(self) -> None:
        self._ends = None
        if self._turns.failure is None:
            self._turns.write_ends()

    def _cancel_ends(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None


def redis_store(
    settings: StoreSettings, clock: Clock, *, retention: float, by_server_time: bool, claim: Standing
) -> RedisStore:
    """Return the store of a gateway, which is yet to be opened."""
    return RedisStore(
        RedisServer(settings),
        clock,
        prefix=settings.prefix,
        retention=retention,
        time=ServerTime() if by_server_time else None,
        claim=claim,
    )
