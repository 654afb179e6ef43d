"""Deadlines on record are by the clock of Redis, and no gateway finds a session due too early by it."""

import pytest

from gateway.clock import SystemClock
from gateway.model import SessionStatus
from gateway.store_settings import StoreSettings
from gateway.stores.redis import RedisStore
from gateway.stores.redis_clock import ServerTime
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import added
from gateway.timing import REDIS_CLOCK_SLEW, REDIS_CLOCK_STEP


@pytest.fixture
def time() -> ServerTime:
    time = ServerTime()
    time.begin(100.0, 5000.001, 100.002)
    return time


def test_the_servers_time_is_between_the_question_and_the_answer(time: ServerTime) -> None:
    assert time.offset == pytest.approx(4900.0)
    assert time.uncertainty == pytest.approx(0.001)
    assert time.margin == pytest.approx(0.002)


def test_a_difference_that_the_way_there_and_back_explains_is_none(time: ServerTime) -> None:
    time.follow(200.0, 5100.009, 200.010)
    assert time.offset == pytest.approx(4900.0)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_is_followed_slowly_and_told_once(
    time: ServerTime, step: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert abs(step) > REDIS_CLOCK_STEP
    for second in range(1, 11):
        time.follow(100.0 + second, 5000.0 + second + step, 100.0 + second)
    assert abs(time.offset - 4900.0) == pytest.approx(10 * REDIS_CLOCK_SLEW, rel=0.01)
    assert (time.offset > 4900.0) is (step > 0)
    assert len(caplog.records) == 1


def test_another_server_with_another_clock_is_followed_slowly_too(time: ServerTime) -> None:
    time.begin(101.0, 6000.0, 101.0)
    assert time.offset == pytest.approx(4900.0, abs=0.001)


async def test_what_is_on_record_outlives_the_boot_of_the_gateways_machine(
    redis: RedisProcess, raw: Connection, prefix: str
) -> None:
    clock = SystemClock()
    session, seen = None, None
    for boot in (0.0, 1e6):  # seconds by which the clock of the second machine is ahead

        class Machine(SystemClock):
            def now(self, boot: float = boot):  # type: ignore[no-untyped-def]
                now = super().now()
                return now._replace(monotonic=now.monotonic + boot)

        machine = Machine()
        store = RedisStore(RedisServer(StoreSettings(url=redis.url)), machine, prefix=prefix, time=ServerTime())
        await store.open()
        now = machine.now()
        if session is None:
            session = await added(store, deadline=now.monotonic + 60, expires_at=now.wall + 60)
            seconds, micros = await raw.send("TIME")
            score = float(await raw.send("HGET", f"{{{prefix}}}:s:{session.id}", "dl"))
            assert score == pytest.approx(int(seconds) + int(micros) / 1e6 + 60, abs=0.5)
        else:
            seen = await store.get(session.id)
            assert seen is not None
            assert seen.deadline == pytest.approx(now.monotonic + 60, abs=0.9)
            early = now._replace(monotonic=seen.deadline - 0.0001)
            assert (await store.expire_due([session.id], early))[0].status is SessionStatus.ACTIVE
            late = now._replace(monotonic=seen.deadline + 0.1)
            assert (await store.expire_due([session.id], late))[0].status is SessionStatus.EXPIRED
        await store.close()
    assert clock.boot_id
