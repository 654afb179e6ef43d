"""What `sgw doctor` finds of a Redis."""

import pytest

from gateway.config import Settings
from gateway.doctor.cluster import cluster
from gateway.doctor.finding import Finding, Status
from gateway.doctor.redis import redis as look
from gateway.store_settings import StoreSettings
from gateway.testing.redis_server import RedisProcess


async def found(url: str) -> list[Finding]:
    return [finding async for finding in look(StoreSettings(url=url))]


async def test_a_redis_that_keeps_what_it_has_is_well(own_redis: RedisProcess) -> None:
    (finding,) = await found(own_redis.url)
    assert (finding.status, finding.check) == (Status.OK, "store")
    assert ", version " in finding.message


async def test_a_redis_that_may_lose_sessions_is_warned_of(short_path_redis: RedisProcess) -> None:
    (finding,) = await found(short_path_redis.url)
    assert finding.status is Status.WARNING
    assert "appendonly" in finding.do


async def test_a_redis_that_is_away_is_a_failure(short_path_redis: RedisProcess) -> None:
    short_path_redis.kill()
    (finding,) = await found(short_path_redis.url)
    assert finding.status is Status.FAILED
    assert short_path_redis.url in finding.message


@pytest.mark.parametrize(("listen", "warned"), [("127.0.0.1:0", False), ("0.0.0.0:0", True)])
async def test_gateways_that_others_can_listen_to_are_warned_of(
    short_path_redis: RedisProcess, listen: str, warned: bool
) -> None:
    settings = Settings.model_validate(
        {"store": {"url": short_path_redis.url}, "cluster": {"listen": listen, "advertise": "127.0.0.1:50152"}}
    )
    findings = [finding async for finding in cluster(settings)]
    assert [finding.status for finding in findings] == [Status.WARNING, Status.OK][not warned :]
