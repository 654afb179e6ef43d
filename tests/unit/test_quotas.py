"""What one caller may take, and when it may take more."""

from pathlib import Path

import pytest

from gateway.config import Quota, QuotaSettings
from gateway.errors import QuotaExceeded, RunState
from gateway.sessions.quotas import Quotas, Rate
from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def quotas(clock: FakeClock, settings: QuotaSettings) -> Quotas:
    return Quotas(settings, SqliteStore(Path("never-opened")), clock)


def refusal(quotas: Quotas, principal: str = "me", *, size: int = 0, new: bool = False) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as caught:
        quotas.admit(principal, size=size, new=new)
    return caught.value


async def test_as_many_calls_as_are_allowed_may_come_at_once_and_one_more_is_told_when(clock: FakeClock) -> None:
    limited = quotas(clock, QuotaSettings(calls_per_second=4))
    for _ in range(4):
        limited.admit("me", size=0, new=False)
    error = refusal(limited)
    assert (error.metadata, error.run_state) == ({"quota": "calls_per_second", "limit": "4"}, RunState.NOT_STARTED)
    assert error.retry_after == pytest.approx(0.25)


async def test_whoever_waits_as_long_as_it_was_told_is_served(clock: FakeClock) -> None:
    limited = quotas(clock, QuotaSettings(calls_per_second=3))
    for _ in range(3):
        limited.admit("me", size=0, new=False)
    for _ in range(10):
        wait = refusal(limited).retry_after
        assert wait is not None
        await clock.advance(wait)
        limited.admit("me", size=0, new=False)


async def test_one_caller_does_not_use_up_what_another_may_take(clock: FakeClock) -> None:
    limited = quotas(clock, QuotaSettings(calls_per_second=1))
    limited.admit("me", size=0, new=False)
    refusal(limited)
    limited.admit("another", size=0, new=False)


async def test_a_call_that_is_refused_for_another_quota_uses_nothing_up(clock: FakeClock) -> None:
    limited = quotas(clock, QuotaSettings(calls_per_second=2, new_sessions_per_minute=1, input_bytes=10))
    limited.admit("me", size=10, new=True)
    assert refusal(limited, new=True).metadata["quota"] == "new_sessions_per_minute"
    assert refusal(limited, size=11).metadata["quota"] == "input_bytes"
    limited.admit("me", size=0, new=False)
    assert refusal(limited).metadata["quota"] == "calls_per_second"


async def test_an_input_that_is_too_large_will_not_be_smaller_later(clock: FakeClock) -> None:
    assert refusal(quotas(clock, QuotaSettings(input_bytes=10)), size=11).retry_after is None


async def test_sessions_of_a_minute_come_back_within_it(clock: FakeClock) -> None:
    limited = quotas(clock, QuotaSettings(new_sessions_per_minute=2))
    for _ in range(2):
        limited.admit("me", size=0, new=True)
    assert refusal(limited, new=True).retry_after == pytest.approx(30)
    limited.admit("me", size=0, new=False)
    await clock.advance(30)
    limited.admit("me", size=0, new=True)


async def test_a_caller_may_have_quotas_of_its_own_and_the_rest_as_everyone(clock: FakeClock) -> None:
    settings = QuotaSettings(calls_per_second=1, input_bytes=10, principals={"vip": Quota(calls_per_second=3)})
    limited = quotas(clock, settings)
    for _ in range(3):
        limited.admit("vip", size=0, new=False)
    refusal(limited, "vip")
    assert refusal(limited, "vip", size=11).metadata["limit"] == "10"
    limited.admit("me", size=0, new=False)
    refusal(limited, "me")


def test_nothing_is_limited_until_something_is_set() -> None:
    assert not QuotaSettings().limited
    assert not QuotaSettings(principals={"a": Quota()}).limited
    assert QuotaSettings(live_sessions=1).limited
    assert QuotaSettings(principals={"a": Quota(live_sessions=1)}).limited


def test_keys_that_have_used_nothing_up_are_forgotten() -> None:
    rate = Rate(1.0)
    for number in range(100_000):
        rate.take(str(number), 10, float(number))
    assert len(rate._full_at) < 2000
