"""What operations of the Redis store take among few records and among very many, and how much memory records take.

The records are made by the store itself. A Redis with few stands beside the one with many, and both are asked in turn.
"""

import asyncio
import base64
import os
import random
import statistics
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.context import Bench
from bench.figure import Figure, Series, figure, ratios
from bench.processes import cpu_seconds
from bench.redis import redis, used_memory
from gateway.clock import Instant, SystemClock
from gateway.model import SESSION_ID_PREFIX, AppRef, EndReason, Session
from gateway.store_settings import StoreSettings
from gateway.stores.base import SessionFilter
from gateway.stores.redis import RedisStore
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import RedisProcess

FEW = 1_000
SIZES = (FEW, 10_000, 100_000, 1_000_000)

OWNERS = 100
HOME = 20_000
"""Sessions that one gateway serves, at most."""
PAGE = 50
BATCH = 5_000

BYTES_EACH = 3_000
"""Of memory, at most: twice what was seen."""

TIMEOUT = 3600
START = Instant(100_000.0, 1_700_000_000.0)
"""Time stands still, but for sessions that are to be due."""
AT_ONCE = 64
"""Operations at one moment, as of so many calls in flight."""
EXPIRED_AT_ONCE = 50
KEPT_ALIVE_AT_ONCE = 100
ENDED = 20_000
"""Sessions that are ended, for what a finished one takes."""


def sizes() -> Sequence[int]:
    """Return how many records there are in turn; BENCH_RECORDS is the greatest."""
    most = int(os.environ.get("BENCH_RECORDS", str(SIZES[-1])))
    return (*(size for size in SIZES if size < most), most)


@dataclass
class Records:
    """A store with records of its own making."""

    server: RedisProcess
    store: RedisStore
    draw: random.Random
    ids: list[str] = field(default_factory=list)
    """Of sessions that are active, and never due while START is now."""
    home: list[str] = field(default_factory=list)
    """Those of them whose calls this store has admitted: a gateway's part of all."""

    async def fill(self, count: int) -> None:
        """Add sessions until there are so many, as other gateways would."""
        other = await _store(self.server)
        try:
            while len(self.ids) < count:
                batch = [a_session() for _ in range(min(BATCH, count - len(self.ids)))]
                await other.restore(batch, 0.0)
                self.ids += [session.id for session in batch]
        finally:
            await other.close()
        self.home = self.draw.sample(self.ids, min(HOME, count))
        for start in range(0, len(self.home), AT_ONCE):
            await self.calls(self.home[start : start + AT_ONCE])

    async def get(self) -> None:
        """Read one."""
        await self.store.get(self.draw.choice(self.ids))

    async def page(self) -> None:
        """Read the newest of all."""
        page = await self.store.page(SessionFilter(), PAGE)
        if len(page.sessions) != PAGE:
            raise ValueError(f"a page with {len(page.sessions)} sessions instead of {PAGE}")

    async def admit(self) -> None:
        """Admit calls of so many sessions at one moment, and end them."""
        await self.calls(self.draw.sample(self.home, AT_ONCE))

    async def calls(self, session_ids: Sequence[str]) -> None:
        """Have a call in each of these sessions at one moment."""

        async def call(session_id: str) -> None:
            admitted = await self.store.admit(session_id, START, START.monotonic + 60)
            if admitted is None or admitted.in_flight != 1:
                raise ValueError(f"a call was not admitted: {admitted}")
            await self.store.finish(session_id, START, started=True)

        await asyncio.gather(*map(call, session_ids))

    async def expire(self) -> None:
        """Find what is due and expire it: as many sessions as are added for it before, which takes no time here."""
        due = await self.store.due(START, EXPIRED_AT_ONCE)
        over = await self.store.expire_due(due, START)
        if len(over) != EXPIRED_AT_ONCE or any(session.ended_at is None for session in over):
            raise ValueError(f"{len(over)} sessions expired instead of {EXPIRED_AT_ONCE}")

    async def make_due(self) -> None:
        """Add the sessions for `expire`."""
        await self.store.restore([a_session(deadline=START.monotonic - 1) for _ in range(EXPIRED_AT_ONCE)], 0.0)


OPERATIONS: Mapping[str, tuple[str, Callable[[Records], Awaitable[None]], int]] = {
    "get": ("get", Records.get, 1),
    "list": (f"page of {PAGE}", Records.page, 1),
    "admit": ("admit and finish a call", Records.admit, AT_ONCE),
    "expire": ("find due and expire", Records.expire, EXPIRED_AT_ONCE),
}
"""What is measured: its name in words, how it is done, and how many of it one round has."""


def measure(bench: Bench) -> Iterator[Figure | Series]:
    """Yield memory, what operations take among many against among few, their processor time, and the chart."""
    found = asyncio.run(_measured(bench))
    yield from found.figures
    yield found.series()


@dataclass
class _Found:
    """What one run over all sizes has found."""

    figures: list[Figure] = field(default_factory=list)
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def series(self) -> Series:
        """Return the chart: microseconds of one operation by the number of records."""
        return Series("records", "Records in Redis", "records", "µs each", self.lines)


async def _measured(bench: Bench) -> _Found:
    most = sizes()[-1]
    found = _Found(lines={words: [] for words, _, _ in OPERATIONS.values()})
    with redis(64_000_000) as small, redis(64_000_000 + BYTES_EACH * most) as large:
        few, many = await _opened(small), await _opened(large)
        try:
            await few.fill(FEW)
            before, began = await used_memory(large), time.monotonic()
            pairs: dict[str, list[tuple[float, float]]] = {}
            for size in sizes():
                await many.fill(size)
                bench.note(f"        {size:,} records after {time.monotonic() - began:.0f} s")
                pairs = await _in_turns(bench, many, few)
                for name, (words, _, _) in OPERATIONS.items():
                    found.lines[words].append((float(size), statistics.median(each[0] for each in pairs[name])))
            found.figures += [
                await _memory(many, before),
                *_flat(pairs),
                *await _costs(many, 1.5 * bench.settings.seconds),
            ]
        finally:
            await few.store.close()
            await many.store.close()
    return found


async def _opened(server: RedisProcess) -> Records:
    return Records(server, await _store(server), random.Random(7))


async def _store(server: RedisProcess) -> RedisStore:
    store = RedisStore(RedisServer(StoreSettings(url=server.url)), SystemClock())
    await store.open()
    return store


async def _in_turns(bench: Bench, many: Records, few: Records) -> dict[str, list[tuple[float, float]]]:
    """Return the microseconds of one operation in each round, among many and among few."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for name, (_, operation, count) in OPERATIONS.items():
        rounds = []
        for _ in range(20 * bench.settings.rounds):
            times = []
            for side in (many, few):
                if name == "expire":
                    await side.make_due()
                began = time.perf_counter()
                await operation(side)
                times.append(1e6 * (time.perf_counter() - began) / count)
            rounds.append((times[0], times[1]))
        pairs[name] = rounds[len(rounds) // 10 :]  # the first ones warm both up
    return pairs


def _flat(pairs: Mapping[str, Sequence[tuple[float, float]]]) -> Iterator[Figure]:
    """Yield what each operation takes among the most records against among few."""
    for name, rounds in pairs.items():
        # Some operations are so short that a round of each would tell of the machine: ratios of parts of ten rounds.
        parts = [rounds[start : start + 10] for start in range(0, len(rounds) - 9, 10)]
        many = [statistics.median(each[0] for each in part) for part in parts]
        few = [statistics.median(each[1] for each in part) for part in parts]
        yield figure(
            f"records_{name}", ratios(many, few), us=statistics.median(many), yardstick_us=statistics.median(few)
        )


async def _memory(many: Records, before: int) -> Figure:
    """Return the bytes of a live session, with those that a finished one has more."""
    count = len(many.ids)
    live = (await used_memory(many.server) - before) / count
    stay = max(len(many.ids) - ENDED, len(many.ids) // 2)
    gone, many.ids = many.ids[stay:], many.ids[:stay]
    over = set(gone)
    many.home = [session_id for session_id in many.home if session_id not in over]
    began = await used_memory(many.server)
    for start in range(0, len(gone), AT_ONCE):
        some = gone[start : start + AT_ONCE]
        await asyncio.gather(*(many.store.end(each, EndReason.CALLER, START) for each in some))
    ended = (await used_memory(many.server) - began) / len(gone)
    return figure("record_memory", [live], more_when_finished_bytes=ended, records=count)


async def _costs(many: Records, seconds: float) -> Sequence[Figure]:
    """Return the processor time of Redis for a call, a keepalive and a whole session, among the most records."""
    owner = owner_of(many.ids[0])
    theirs = [session_id for session_id in many.ids if owner_of(session_id) == owner]
    at_once = min(KEPT_ALIVE_AT_ONCE, len(theirs))

    async def keepalives() -> None:
        some = many.draw.sample(theirs, at_once)
        renewed = await many.store.renew_many(some, owner, START)
        if len(renewed) != len(some):
            raise ValueError(f"of {len(some)} sessions {len(renewed)} were kept alive")

    async def alone() -> None:
        renewed = await many.store.renew(many.draw.choice(theirs), START)
        if renewed is None:
            raise ValueError("a session was not kept alive")

    async def sessions() -> None:
        new = [a_session() for _ in range(AT_ONCE)]
        await asyncio.gather(*(many.store.create(each) for each in new))
        await asyncio.gather(*(many.store.end(each.id, EndReason.CALLER, START) for each in new))

    return [
        figure("redis_call", [await _redis_us(many, many.admit, AT_ONCE, seconds)]),
        figure("redis_keepalive", [await _redis_us(many, keepalives, at_once, seconds)]),
        figure("redis_keepalive_alone", [await _redis_us(many, alone, 1, seconds)]),
        figure("redis_session", [await _redis_us(many, sessions, AT_ONCE, seconds)]),
    ]


async def _redis_us(many: Records, work: Callable[[], Awaitable[None]], count: int, seconds: float) -> float:
    """Return the microseconds of processor time of Redis for one of so many operations of a piece of work."""
    await work()
    before, done, until = cpu_seconds(many.server.pid), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        await work()
        done += count
    return 1e6 * (cpu_seconds(many.server.pid) - before) / done


def a_session(deadline: float = START.monotonic + TIMEOUT) -> Session:
    """Return a live session of one of some owners, without a call in flight."""
    session_id = SESSION_ID_PREFIX + _letters()
    return Session(
        id=session_id,
        owner=owner_of(session_id),
        app=AppRef("echo", "1"),
        worker_id=f"wrk_{_letters()[:16]}",
        epoch=1,
        timeout=TIMEOUT,
        created_at=START.wall,
        expires_at=START.wall + TIMEOUT,
        deadline=deadline,
        last_call_at=START.wall,
        call_count=1,
    )


def owner_of(session_id: str) -> str:
    """Return whose session this is."""
    return f"key:{zlib.crc32(session_id.encode()) % OWNERS:016}"


def _letters() -> str:
    """Return the 26 random letters of an id, faster than ids are made where they must not be guessed."""
    return base64.b32encode(os.urandom(17))[:26].lower().decode()
