"""The Redis store keeps the contract of stores."""

from collections.abc import AsyncIterator

import pytest

from gateway.clock import SystemClock
from gateway.store_settings import StoreSettings
from gateway.stores.base import SessionStore
from gateway.stores.guarded import GuardedStore
from gateway.stores.redis import RedisStore
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import Reopen
from gateway.testing.store_suite import SessionStoreSuite
from tests.redis.conftest import OpenStore


@pytest.fixture
async def reopen(store: SessionStore, redis: RedisProcess, opened: OpenStore) -> Reopen:
    async def again() -> SessionStore:
        await store.close()
        return await opened(redis.url)

    return again


class TestRedisStore(SessionStoreSuite):
    pass


class TestGuardedRedisStore(SessionStoreSuite):
    @pytest.fixture
    async def store(self, redis: RedisProcess, prefix: str) -> AsyncIterator[SessionStore]:
        store = GuardedStore(
            RedisStore(RedisServer(StoreSettings(url=redis.url)), SystemClock(), prefix=prefix), SystemClock()
        )
        await store.open()
        yield store
        await store.close()
