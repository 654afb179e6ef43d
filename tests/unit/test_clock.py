"""The system's clock, and the fake one on which the tests of time stand."""

import asyncio
import time

import pytest

from gateway.clock import SystemClock
from gateway.testing.clock import FakeClock


async def test_the_system_clock_tells_both_times_and_names_its_boot() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first.monotonic <= second.monotonic
    assert abs(first.wall - time.time()) < 5
    assert clock.boot_id == SystemClock().boot_id != ""


async def test_the_monotonic_time_is_that_of_the_machine_and_not_of_the_process() -> None:
    assert abs(SystemClock().now().monotonic - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5


async def test_a_system_timer_comes_and_a_cancelled_one_does_not() -> None:
    clock, came = SystemClock(), asyncio.Event()
    never = clock.call_later(0, lambda: pytest.fail("it was cancelled"))
    never.cancel()
    clock.call_later(0.001, came.set)
    async with asyncio.timeout(5):
        await came.wait()


async def test_virtual_time_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    before = clock.now()
    await asyncio.sleep(0)
    assert clock.now() == before
    await clock.advance(1.5)
    after = clock.now()
    assert (after.monotonic - before.monotonic, after.wall - before.wall) == (1.5, 1.5)


async def test_virtual_timers_come_each_at_its_moment_and_in_order() -> None:
    clock = FakeClock()
    start = clock.now().monotonic
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, clock.now().monotonic - start))

    clock.call_later(3, lambda: note("c"))
    clock.call_later(1, lambda: note("a"))
    clock.call_later(1, lambda: note("b"))
    clock.call_later(1, lambda: clock.call_later(1, lambda: note("nested")))
    await clock.advance(2.5)
    assert seen == [("a", 1), ("b", 1), ("nested", 2)]
    await clock.advance(0.5)
    assert seen[-1] == ("c", 3)


async def test_a_virtual_timer_that_is_cancelled_does_not_come() -> None:
    clock = FakeClock()
    clock.call_later(1, lambda: pytest.fail("it was cancelled")).cancel()
    await clock.advance(5)


async def test_what_a_virtual_timer_starts_has_run_when_time_stands_again() -> None:
    clock, seen = FakeClock(), []

    async def chain(links: int) -> None:
        if links:
            await asyncio.create_task(chain(links - 1))
        else:
            seen.append(clock.now().monotonic)

    tasks = []
    clock.call_later(1, lambda: tasks.append(asyncio.ensure_future(chain(10))))
    moment = clock.now().monotonic + 1
    await clock.advance(60)
    assert seen == [moment]
