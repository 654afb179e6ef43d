"""What one gateway has to do with the others on the same store: requests and hints, sessions of those that are gone."""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gateway.clock import Clock
from gateway.cluster_settings import ClusterSettings
from gateway.data_directory import CannotStart
from gateway.errors import StoreUnavailable
from gateway.handshake import derived
from gateway.model import Session
from gateway.rpc.peers.exchange import Exchange
from gateway.rpc.peers.gateways import Gateways, ShardRoutes
from gateway.rpc.peers.wire import Kind
from gateway.sessions.manager import SessionManager
from gateway.sessions.pages import Tokens
from gateway.shards import Shards, shard_of
from gateway.stores.guarded import GuardedStore
from gateway.succession import Succession
from gateway.tidings import Tidings
from gateway.timing import CLUSTER_BEATS, QUIET_POLL, STORE_INSPECTION
from gateway.workers.base import WorkerPool

if TYPE_CHECKING:
    from gateway.stores.redis import RedisStore

logger = logging.getLogger("gateway")


class Cluster:
    """One gateway among several. Whoever calls `enter` calls `leave`."""

    def __init__(self, settings: ClusterSettings, shards: Shards, store: GuardedStore, clock: Clock) -> None:
        """Raises CannotStart when the files for TLS cannot be used."""
        self._settings = settings
        self._shards = shards
        self._store = store
        self._redis = cast("RedisStore", store.inside)
        assert self._redis.membership is not None
        self._membership = self._redis.membership
        self._clock = clock
        try:
            self._gateways = Gateways(shards, clock, _tls_files(settings))
        except (OSError, ssl.SSLError) as error:
            raise CannotStart(f"cannot use the certificates of [cluster]: {error}") from error
        self.exchange = Exchange(self._gateways, ShardRoutes(shards, self._gateways))
        self._gateways.refresh = self._refresh
        self._refreshing: asyncio.Task[None] | None = None
        self._looking: set[asyncio.Task[None]] = set()
        self.exchange.on_hint[Kind.TABLE] = lambda _: self._announced()
        self._beating: asyncio.Task[None] | None = None
        self._joined = False
        self._interval = min(STORE_INSPECTION, settings.takeover / CLUSTER_BEATS)

    def introduce(self, manager: SessionManager, pool: WorkerPool, tokens: Tokens) -> None:
        """Connect sessions, workers and watches of this gateway with what the others do."""
        self._manager = manager
        self._pool = pool
        self._tokens = tokens
        self._membership.hands_on = pool.anywhere
        self._succession = Succession(
            self._shards,
            self,
            self._clock,
            self._settings.takeover,
            take_over=manager.take_over,
            drop=self._drop_shard,
        )
        self._gateways.silent = self._succession.silent
        self._store.on_fenced = self._fenced
        tidings = Tidings(
            self.exchange, lambda: [p.writer for p in self._shards.table.peers.values() if p.watches and p.address]
        )
        tidings.connect(manager.news)
        manager.news.on_change = lambda: setattr(self._membership, "watches", len(manager.news) > 0)

    async def bind(self) -> None:
        """Take the address for the others. Raises CannotStart."""
        try:
            bound = await self._gateways.bind(self._settings.listen)
        except OSError as error:
            raise CannotStart(f"cannot listen on {self._settings.listen}: {error.strerror or error}") from error
        port = bound.rpartition(":")[2]
        host, _, told = (self._settings.advertise or bound).rpartition(":")
        self._membership.address = f"{host}:{port if told == '0' else told}"

    async def enter(self) -> list[Session]:
        """Begin to be heard of, once the store is open. Returns the sessions that an earlier run of this gateway
        left.
        """
        self._entered()
        self._beating = asyncio.get_running_loop().create_task(self._beat())
        left: list[Session] = []
        for shard in list(self._shards.untaken()):
            left += await self.inherit(shard)
            self._shards.taken.add(shard)
        return left

    async def join(self) -> None:
        """Answer the others from now on, and take over from those that go."""
        await self.exchange.start()
        self._announce()
        logger.info("one of %d gateways, at %s", len(self._shards.table.peers), self._membership.address)
        self._joined = True

    async def all_quiet(self, until: float, hurry: asyncio.Event) -> None:
        """Return when no other gateway has a request of a caller here. No later than `until`, on the monotonic clock,
        and not after `hurry`. Nothing is taken over any more.
        """
        self._succession.taking = False
        while self._clock.now().monotonic < until and not hurry.is_set():
            if not self.exchange.outgoing:
                return
            await asyncio.sleep(QUIET_POLL)

    async def leave(self) -> None:
        """Answer nobody any more. When the store is closed, others may have what is left here."""
        await self.exchange.close()

    def fall_silent(self) -> None:
        """Be heard of no more. The store is about to be closed."""
        if self._beating is not None:
            self._beating.cancel()

    async def take(self, shard: str, holder: str, alive_until: int) -> bool:
        """See `Estate`."""
        return await self._store.beside(self._redis.take, shard, holder, alive_until)

    async def inherit(self, shard: str) -> list[Session]:
        """See `Estate`."""
        return await self._store.beside(self._redis.inherit, shard)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._look()
            except StoreUnavailable:
                logger.debug("the gateways of a store that is away take over nothing")
            except Exception:
                logger.exception("the look at the other gateways failed")

    async def _look(self) -> None:
        more = True
        while more:
            await self._store.inspect()
            if not self._store.available:
                self._succession.lost_touch()
                return
            self._entered()
            self._gateways.look()
            self.exchange.look()
            more = self._joined and await self._succession.look(self._interval)
            if more:
                self._announce()

    def _announce(self) -> None:
        """Have the others look at the table, which they would do soon in any case."""
        for other in self._gateways.others():
            self.exchange.hint(other, Kind.TABLE)

    def _announced(self) -> None:
        task = asyncio.get_running_loop().create_task(self._refresh())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _refresh(self) -> None:
        """Ask the store who has what, once for all who ask at the same time."""
        if self._refreshing is None:
            self._refreshing = asyncio.get_running_loop().create_task(self._store.inspect())
            self._refreshing.add_done_callback(lambda _: setattr(self, "_refreshing", None))
        await asyncio.shield(self._refreshing)

    def _entered(self) -> None:
        """Know what only those know who have entered."""
        if self._gateways.secret != self._membership.secret:
            self._gateways.secret = self._membership.secret
            self._tokens.use(derived(self._membership.secret, "tokens"))
            self._pool.use_secret(derived(self._membership.secret, "workers"))

    def _fenced(self) -> None:
        if self._shards.taken:
            logger.error(
                "not heard of for %g s: other gateways have the sessions of this one, which lets go of them",
                self._settings.takeover,
            )
        self._shards.taken.clear()
        self._succession.lost_touch()
        self._manager.drop(lambda session_id: True)

    def _drop_shard(self, shard: str) -> None:
        self._manager.drop(lambda session_id: shard_of(session_id) == shard)


def _tls_files(settings: ClusterSettings) -> tuple[Path, Path, Path] | None:
    if settings.tls_cert is None or settings.tls_key is None or settings.tls_ca is None:
        return None
    return settings.tls_cert, settings.tls_key, settings.tls_ca
