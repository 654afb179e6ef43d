"""The composition root: the only module that names concrete stores and pools."""

import asyncio
import gc
import logging
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvloop

from gateway.apps.manifest import AppDirectoryError
from gateway.apps.names import AppQuery
from gateway.apps.registry import AppRegistry
from gateway.auth.credentials import TokensUnusable
from gateway.auth.keyfile import KeysUnusable
from gateway.auth.watched import Unusable
from gateway.board import Member
from gateway.clock import Clock, SystemClock
from gateway.cluster import Cluster
from gateway.company import Company
from gateway.config import Settings
from gateway.cover import Cover
from gateway.data_directory import CannotStart, only_one, token_key
from gateway.errors import AppNotFound, StoreUnavailable
from gateway.exposition.exposition import CannotExpose, Exposition
from gateway.exposition.snapshot import Sources
from gateway.heartbeat import Heartbeat
from gateway.log import configure
from gateway.pooling import worker_pool
from gateway.rpc.bounds import bounds_of
from gateway.rpc.exposure import credentials_of
from gateway.rpc.server import CannotListen, Server
from gateway.service_manager import READY, STOPPING, tell_service_manager
from gateway.sessions.catalog import AppCatalog
from gateway.sessions.manager import SessionManager
from gateway.sessions.meter import CallMeter
from gateway.sessions.pages import KEY_BYTES, Tokens
from gateway.shards import Shards
from gateway.share import WHOLE, Share
from gateway.storage import holder_name, session_store
from gateway.stores.base import StoreUnusable
from gateway.stores.guarded import GuardedStore
from gateway.stores.metered import MeteredStore
from gateway.timing import DEPLOYMENT_POLL, SHUTDOWN_REPLY, STORE_INSPECTION
from gateway.tracing.tracing import CannotTrace, Tracing
from gateway.worker.privileges import set_dumpable
from gateway.workers.base import PoolUnavailable, WorkerPool
from gateway.workers.place import Place
from gateway.workers.runtime import runtime_directory
from gateway.workers.scheduled import ScheduledPool

logger = logging.getLogger("gateway")

_COLLECT_AFTER = 20_000
"""New objects, less those that are gone, until the youngest are looked at for garbage. Python's 700 is what a dozen
calls in flight have, which are no garbage; so many are a few megabytes."""

EXIT_UNUSABLE = 1
"""Exit code when the gateway cannot start: the address, the data directory, or an app."""


class Gateway:
    """All parts of one gateway, put together. The rest of the program, and the tests' harness, use this."""

    def __init__(self, settings: Settings, clock: Clock, member: Member | None = None) -> None:
        """With a `member` this is one process of several, whose supervisor holds the data directory.

        Raises CannotStart when an app of `--app` is none, the transport is not installed, or the address cannot be
        taken.
        """
        self.hurry = asyncio.Event()
        """Set to have a drain wait no longer."""
        self._settings = settings
        self._clock = clock
        self.registry = _registry(settings)
        shards = Shards(holder_name(settings)) if settings.cluster.listen else None
        store = session_store(settings, clock, shared=member is not None, shards=shards)
        exposed = bool(settings.metrics.address)
        self.store = MeteredStore(store, clock) if exposed else GuardedStore(store, clock)
        share = WHOLE if member is None else Share(member.index, member.board.count)
        settings, directory = _parted(settings, share), runtime_directory(settings.data_dir)
        place = Place(directory, settings.workers.max_workers, share, member, shards)
        pool = worker_pool(settings, directory, clock, place, shards)
        self.pool: WorkerPool = pool
        calls = CallMeter(self._is_deployed) if exposed else None
        tokens = Tokens(token_key(settings.data_dir, KEY_BYTES))
        self.manager = SessionManager(
            self.store, self.pool, self.registry, clock, settings, share=shards or share, meter=calls, tokens=tokens
        )
        catalog = AppCatalog(self.registry, self.pool, clock, settings.workers.start_timeout, tokens)
        self.company = None if member is None else Company(member, place, directory, settings, clock)
        self.cluster = None if shards is None else self._clustered(shards, tokens)
        self._others = self.cluster or self.company
        try:
            self._tracing = Tracing(settings.tracing, str(share.index)) if settings.tracing.endpoint else None
            self.server = self._server(settings, catalog, member)
        except (CannotListen, KeysUnusable, Unusable, TokensUnusable, CannotTrace) as error:
            raise CannotStart(str(error)) from error
        self.heartbeat = Heartbeat(member)
        self._cover = None if member is None or not member.sockets else Cover(member, self.server)
        if self.company is not None:
            self.company.introduce(self.manager.news, pool)
            self.heartbeat.on_beat.append(self.company.exchange.look)
        if self._cover is not None:
            self.heartbeat.on_beat.append(self._cover.look)
        sources = self._sources(calls, pool)
        self.exposition = None if sources is None else Exposition(settings.metrics.address, sources, directory, member)
        self.store.catch_up = self.manager.catch_up
        self.store.on_change = pool.on_change = self._availability_changed
        self._pool_there = pool.is_available
        self._taking_calls = False
        self._health = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()

    def _clustered(self, shards: Shards, tokens: Tokens) -> Cluster:
        cluster = Cluster(self._settings.cluster, shards, self.store, self._clock)
        cluster.introduce(self.manager, self.pool, tokens)
        return cluster

    def _server(self, settings: Settings, catalog: AppCatalog, member: Member | None) -> Server:
        return Server(
            settings.server,
            self.manager,
            catalog,
            self._clock,
            None if self._others is None else self._others.exchange,
            credentials=credentials_of(settings),
            shares_port=member is not None,
            sockets=member.sockets[member.index] if member is not None and member.sockets else (),
            tracer=None if self._tracing is None else self._tracing.tracer,
            bounds=bounds_of(settings.server, settings.workers.max_workers),
        )

    @property
    def serving(self) -> bool:
        """Whether calls are taken, as health says."""
        return self._taking_calls and self.store.available and self._pool_there()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve for as long as the context lasts, and drain at its end. Yields the address. Raises CannotStart."""
        async with AsyncExitStack() as stack:
            stack.callback(self.heartbeat.stop)
            if self.company is None:
                stack.enter_context(only_one(self._settings.data_dir))
            try:
                address = self.server.bind()
                await self._open_store(stack)
            except (CannotListen, StoreUnusable) as error:
                raise CannotStart(str(error)) from error
            if self._tracing is not None:
                self._tracing.start()
                stack.push_async_callback(self._tracing.close)  # after the server, whose last calls have spans too
            if self._others is not None:
                stack.push_async_callback(self._others.leave)
            # The server stops when sessions and workers have ended: until then it tells their callers so.
            stack.push_async_callback(self.server.stop, SHUTDOWN_REPLY)
            end = self._settings.server.drain == "end"
            stack.push_async_callback(self.pool.close, keep_leased=not end)
            try:
                await self.manager.start(None if self.cluster is None else await self.cluster.enter())
            except PoolUnavailable as error:
                raise CannotStart(error.message) from None
            except StoreUnavailable as error:
                raise CannotStart(f"the store failed during the start: {error.__cause__}") from error
            stack.push_async_callback(self.manager.close, end_sessions=end)
            if self._others is not None:
                await self._others.join()
            await self._expose(stack)
            await self.server.start()
            for watch in self._watches():
                stack.callback(asyncio.create_task(watch).cancel)
            await self._take_calls(True)
            self.heartbeat.start()
            if self._cover is not None:
                stack.callback(self._cover.close)
            yield address
            await self._take_calls(False)
            await self._drain(self._settings.server.drain_grace)

    async def _open_store(self, stack: AsyncExitStack) -> None:
        if self.cluster is not None:  # whose address is on record from then on
            await self.cluster.bind()
            stack.push_async_callback(self.cluster.leave)
        await self.store.open()
        stack.push_async_callback(self.store.close)
        if self.cluster is not None:
            stack.callback(self.cluster.fall_silent)

    def _sources(self, calls: CallMeter | None, pool: ScheduledPool) -> Sources | None:
        """Return who knows the numbers for Prometheus, if anybody is to read them."""
        if calls is None or not isinstance(self.store, MeteredStore):
            return None
        return Sources(
            self.manager,
            calls,
            pool,
            self.store,
            server=self.server,
            heartbeat=self.heartbeat,
            serving=lambda: self.serving,
        )

    async def _expose(self, stack: AsyncExitStack) -> None:
        if self.exposition is not None:
            try:
                await self.exposition.start()
            except CannotExpose as error:
                raise CannotStart(str(error)) from error
            finally:
                stack.push_async_callback(self.exposition.close)

    def _is_deployed(self, name: str) -> bool:
        try:
            self.registry.resolve(AppQuery(name))
        except AppNotFound:
            return False
        return True

    async def _drain(self, grace: float) -> None:
        until = self._clock.now().monotonic + grace
        await self.manager.drain(grace, self.hurry)
        if self._others is not None:
            await self._others.all_quiet(until, self.hurry)

    async def _take_calls(self, taking: bool) -> None:
        self._taking_calls = taking
        await self._tell_health()

    async def _tell_health(self) -> None:
        async with self._health:  # one after another, so that the newest state is the last to be told
            await self.server.set_serving(self.serving)

    def _availability_changed(self) -> None:
        task = asyncio.create_task(self._tell_health())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _watches(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._keep_current_ready()
        if self.cluster is None:  # which looks at the store more closely
            yield self._inspect_store()

    async def _inspect_store(self) -> None:
        while True:
            await asyncio.sleep(STORE_INSPECTION)
            await self.store.inspect()

    async def _keep_current_ready(self) -> None:
        """Have workers ready of what is deployed, also of what is deployed from now on."""
        while True:
            try:
                self.pool.keep_ready(self.registry.current_versions())
            except Exception:
                logger.exception("cannot read the deployed apps")
            await asyncio.sleep(DEPLOYMENT_POLL)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Prints `listening on HOST:PORT`. Returns the exit code."""
    set_dumpable(False)
    configure(settings.log)
    _raise_file_limit()
    try:
        uvloop.run(_serve(settings, None, _print_address))
    except CannotStart as error:
        print(f"sgw serve: {error}", file=sys.stderr)  # for the person at the terminal, not the log
        return EXIT_UNUSABLE
    return 0


def run_member(settings: Settings, member: Member, told: Callable[[str], object]) -> int:
    """Serve as one process of several. `told` gets "" when it serves, or why it cannot. Returns the exit code."""
    set_dumpable(False)
    configure(settings.log, member.index)
    _raise_file_limit()
    try:
        uvloop.run(_serve(settings, member, lambda _: told("")))
    except CannotStart as error:
        told(str(error))
        return EXIT_UNUSABLE
    return 0


def _print_address(address: str) -> None:
    print(f"listening on {address}", flush=True)  # the contract with whoever starts a gateway
    tell_service_manager(READY)


def _registry(settings: Settings) -> AppRegistry:
    try:
        return AppRegistry(settings.data_dir / "apps", settings.apps)
    except AppDirectoryError as error:
        raise CannotStart(str(error)) from error


def _parted(settings: Settings, share: Share) -> Settings:
    """Return the settings with a process's part of what is bounded for the whole gateway, but for the workers."""
    journal = {
        name: max(1, share.part(getattr(settings.sessions, name))) for name in ("journal_entries", "journal_bytes")
    }
    return settings.model_copy(update={"sessions": settings.sessions.model_copy(update=journal)})


def _raise_file_limit() -> None:
    # Three descriptors for each worker: the usual soft limit of 1024 would end at some three hundred sessions.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _collect_rarely() -> None:
    """Have the garbage collector look at less, and less often: a look at everything holds up all calls for 15 ms."""
    # What is there now stays, and little of what calls leave behind is in cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


async def _serve(settings: Settings, member: Member | None, tell: Callable[[str], object]) -> None:
    gateway, stop = Gateway(settings, SystemClock(), member), asyncio.Event()

    def stop_or_hurry() -> None:
        # Who asks a second time does not want to wait for the calls in flight.
        gateway.hurry.set() if stop.is_set() else stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_or_hurry)
    async with gateway.running() as address:
        _collect_rarely()
        tell(address)
        await stop.wait()
        if member is None:
            tell_service_manager(STOPPING)
        logger.info("draining")
    logger.info("stopped")
