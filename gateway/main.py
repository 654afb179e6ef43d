"""The composition root: the only module that names concrete stores and pools."""

import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvloop

from gateway.apps.manifest import AppDirectoryError
from gateway.apps.registry import AppRegistry
from gateway.clock import Clock, SystemClock
from gateway.config import Settings
from gateway.errors import StoreUnavailable
from gateway.log import configure
from gateway.rpc.server import CannotListen, Server
from gateway.sessions.catalog import AppCatalog
from gateway.sessions.manager import SessionManager
from gateway.stores.base import StoreUnusable
from gateway.stores.guarded import GuardedStore
from gateway.stores.sqlite import SqliteStore
from gateway.timing import DEPLOYMENT_POLL, SHUTDOWN_REPLY, STORE_INSPECTION
from gateway.workers.base import WorkerPool
from gateway.workers.local import LocalPool
from gateway.workers.runtime import runtime_directory

logger = logging.getLogger("gateway")

EXIT_UNUSABLE = 1
"""Exit code when the gateway cannot start: the address, the data directory, or an app."""


class CannotStart(Exception):
    """The gateway cannot start; the text says why and what to do."""


class Gateway:
    """All parts of one gateway, put together. The rest of the program, and the tests' harness, use this."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises CannotStart when an app of `--app` is none, or the transport is not installed."""
        self.hurry = asyncio.Event()
        """Set to have a drain wait no longer."""
        self._settings = settings
        self._clock = clock
        try:
            self.registry = AppRegistry(settings.data_dir / "apps", settings.apps)
        except AppDirectoryError as error:
            raise CannotStart(str(error)) from error
        self.store = GuardedStore(SqliteStore(settings.data_dir / "sessions.db"), clock)
        self.pool: WorkerPool = LocalPool(settings.workers, runtime_directory(settings.data_dir), clock)
        self.manager = SessionManager(self.store, self.pool, self.registry, clock, settings)
        catalog = AppCatalog(self.registry, self.pool, clock, settings.workers.start_timeout)
        try:
            self.server = Server(settings.server, self.manager, catalog, clock)
        except CannotListen as error:
            raise CannotStart(str(error)) from error
        self.store.catch_up = self.manager.catch_up
        self.store.on_change = self._store_changed
        self._taking_calls = False
        self._health = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve for as long as the context lasts, and drain at its end. Yields the address. Raises CannotStart."""
        async with AsyncExitStack() as stack:
            stack.enter_context(_only_one(self._settings.data_dir))
            try:
                address = self.server.bind()
                await self.store.open()
            except (CannotListen, StoreUnusable) as error:
                raise CannotStart(str(error)) from error
            stack.push_async_callback(self.store.close)
            # The server stops when sessions and workers have ended: until then it tells their callers so.
            stack.push_async_callback(self.server.stop, SHUTDOWN_REPLY)
            end = self._settings.server.drain == "end"
            stack.push_async_callback(self.pool.close, keep_leased=not end)
            try:
                await self.manager.start()
            except StoreUnavailable as error:
                raise CannotStart(f"the store failed during the start: {error.__cause__}") from error
            stack.push_async_callback(self.manager.close, end_sessions=end)
            await self.server.start()
            for watch in (self._keep_current_ready(), self._inspect_store()):
                stack.callback(asyncio.create_task(watch).cancel)
            await self._take_calls(True)
            yield address
            await self._take_calls(False)
            await self.manager.drain(self._settings.server.drain_grace, self.hurry)

    async def _take_calls(self, taking: bool) -> None:
        self._taking_calls = taking
        await self._tell_health()

    async def _tell_health(self) -> None:
        async with self._health:  # one after another, so that the newest state is the last to be told
            await self.server.set_serving(self._taking_calls and self.store.available)

    def _store_changed(self) -> None:
        task = asyncio.create_task(self._tell_health())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

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
    configure(settings.log)
    _raise_file_limit()
    try:
        uvloop.run(_serve(settings))
    except CannotStart as error:
        print(f"sgw serve: {error}", file=sys.stderr)  # for the person at the terminal, not the log
        return EXIT_UNUSABLE
    return 0


def _raise_file_limit() -> None:
    # Three descriptors for each worker: the usual soft limit of 1024 would end at some three hundred sessions.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(settings: Settings) -> None:
    gateway, stop = Gateway(settings, SystemClock()), asyncio.Event()

    def stop_or_hurry() -> None:
        # Who asks a second time does not want to wait for the calls in flight.
        gateway.hurry.set() if stop.is_set() else stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_or_hurry)
    async with gateway.running() as address:
        print(f"listening on {address}", flush=True)  # the contract with whoever starts a gateway
        await stop.wait()
        logger.info("draining")
    logger.info("stopped")


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: a second gateway on it would end the sessions of the first."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"cannot use the data directory {data_dir}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotStart(
            f"the data directory {data_dir} is in use by another gateway: stop it, or give this one another --data-dir"
        ) from None
    finally:
        os.close(lock)
