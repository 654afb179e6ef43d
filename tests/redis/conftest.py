"""A Redis for the tests of a module, and stores on it, each with a prefix of its own."""

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.store_settings import StoreSettings
from gateway.stores.redis import RedisStore
from gateway.stores.redis_claims import Standing
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import PROGRAMS, RedisProcess, redis_program
from tests.redis.proxy import Proxy, proxy_before

_prefixes = (f"test-{number}" for number in itertools.count())

OpenStore = Callable[..., Awaitable[RedisStore]]


def needed() -> None:
    """Skip a test where there is no Redis; CI has one."""
    if redis_program() is None:
        assert "CI" not in os.environ, f"{PROGRAMS[0]} is missing, which .ci/toolchains installs"
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed (Debian: redis-server)")


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    needed()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def redis(_installed: None) -> Iterator[RedisProcess]:
    """A Redis that keeps nothing, for all tests of a module."""
    directory = Path(tempfile.mkdtemp(prefix="sgw"))
    with RedisProcess(directory) as process:
        yield process
    shutil.rmtree(directory)


@pytest.fixture
def own_redis(short_path: Path, _installed: None) -> Iterator[RedisProcess]:
    """A Redis for this test alone, which writes down every change."""
    with RedisProcess(short_path, ("--appendonly", "yes", "--appendfsync", "always")) as process:
        yield process


@pytest.fixture
def short_path_redis(short_path: Path, _installed: None) -> Iterator[RedisProcess]:
    """A Redis for this test alone, which keeps nothing."""
    with RedisProcess(short_path) as process:
        yield process


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test has."""
    return next(_prefixes)


@pytest.fixture
async def opened(prefix: str) -> AsyncIterator[OpenStore]:
    """Open a store at an address: `await opened(url)`. All are closed at the end."""
    stores: list[RedisStore] = []

    async def opened(url: str, prefix: str = prefix, claim: Standing | None = None) -> RedisStore:
        store = RedisStore(RedisServer(StoreSettings(url=url)), SystemClock(), prefix=prefix, claim=claim)
        await store.open()
        stores.append(store)
        return store

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
async def store(redis: RedisProcess, opened: OpenStore) -> RedisStore:
    """A store that nothing stands before."""
    return await opened(redis.url)


@pytest.fixture
async def proxy(redis: RedisProcess, short_path: Path) -> AsyncIterator[Proxy]:
    """What the store `behind` has before it."""
    async with proxy_before(redis.socket, short_path / "proxy") as proxy:
        yield proxy


@pytest.fixture
async def behind(proxy: Proxy, opened: OpenStore) -> RedisStore:
    """A store whose Redis is behind the proxy; on the same records as `store`."""
    return await opened(proxy.url)


@pytest.fixture
async def raw(redis: RedisProcess) -> AsyncIterator[Connection]:
    """A connection to the Redis, for a look behind the store."""
    connection = await RedisServer(StoreSettings(url=redis.url)).connect()
    yield connection
    await connection.close()
