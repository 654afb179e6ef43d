"""The queue in front of one worker."""

import asyncio

import pytest

from gateway.errors import GatewayError, RunState, SessionBusy, SessionEnded
from gateway.sessions.turns import Turns
from gateway.testing.clock import FakeClock, settle

PATIENCE = 1000.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Queue:
    """A Turns and the order in which calls got their turn."""

    def __init__(self, clock: FakeClock, concurrency: int = 1, size: int = 10) -> None:
        self.turns = Turns("sess_x", concurrency, size, clock)
        self.entered: list[str] = []

    def come(self, name: str, patience: float = PATIENCE) -> "asyncio.Task[None]":
        async def enter() -> None:
            await self.turns.enter(patience)
            self.entered.append(name)

        return asyncio.ensure_future(enter())


def over() -> GatewayError:
    return SessionEnded("over")


async def test_turns_come_in_the_order_of_arrival(clock: FakeClock) -> None:
    queue = Queue(clock)
    calls = [queue.come(name) for name in "abc"]
    await settle()
    assert queue.entered == ["a"]
    for done in (1, 2, 3):
        queue.turns.leave()
        await settle()
        assert queue.entered == list("abc")[: done + 1]
    await asyncio.gather(*calls)
    await queue.turns.enter(0)  # all have left: it is free


async def test_as_many_are_in_as_the_concurrency_says(clock: FakeClock) -> None:
    queue = Queue(clock, concurrency=2)
    calls = [queue.come(name) for name in "abc"]
    await settle()
    assert queue.entered == ["a", "b"]
    queue.turns.leave()
    await asyncio.gather(*calls)
    assert queue.entered == ["a", "b", "c"]


async def test_there_is_room_until_the_queue_is_full(clock: FakeClock) -> None:
    queue = Queue(clock, size=2)
    calls = []
    for name in "abc":
        queue.turns.expect()
        queue.turns.expected()
        calls.append(queue.come(name))
        await settle()
    with pytest.raises(SessionBusy) as caught:
        queue.turns.expect()
    assert caught.value.run_state is RunState.NOT_STARTED
    assert caught.value.retry_after
    assert caught.value.metadata == {"sessionId": "sess_x"}
    queue.turns.leave()
    queue.turns.expect()
    queue.turns.expected()
    for _ in calls:
        queue.turns.leave()
    await asyncio.gather(*calls)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_room_is_kept_for_calls_that_are_expected(clock: FakeClock, concurrency: int) -> None:
    queue = Queue(clock, size=2, concurrency=concurrency)
    for _ in range(concurrency + 2):
        queue.turns.expect()
    with pytest.raises(SessionBusy):
        queue.turns.expect()
    queue.turns.expected()  # one that was refused after all
    queue.turns.expect()
    with pytest.raises(SessionBusy):
        queue.turns.expect()
    for _ in range(concurrency):
        queue.turns.expected()
        assert queue.turns.entered()
    with pytest.raises(SessionBusy):
        queue.turns.expect()


async def test_a_turn_that_does_not_come_is_given_up_after_the_patience(clock: FakeClock) -> None:
    queue = Queue(clock)
    first, second, third = queue.come("a"), queue.come("b", patience=5), queue.come("c")
    await clock.advance(4.999)
    assert not second.done()
    await clock.advance(0.001)
    with pytest.raises(SessionBusy):
        await second
    queue.turns.leave()
    await third
    assert queue.entered == ["a", "c"]
    await first


async def test_one_without_patience_enters_when_it_is_free_and_not_otherwise(clock: FakeClock) -> None:
    queue = Queue(clock)
    await queue.turns.enter(0)
    waiting = queue.come("b", patience=0)
    await clock.advance(0)
    with pytest.raises(SessionBusy):
        await waiting


async def test_one_who_is_cancelled_gives_up_its_place(clock: FakeClock) -> None:
    queue = Queue(clock)
    calls = [queue.come(name) for name in "abc"]
    await settle()
    calls[1].cancel()
    queue.turns.leave()
    await asyncio.gather(*calls, return_exceptions=True)
    assert queue.entered == ["a", "c"]


async def test_a_turn_that_came_at_the_moment_of_the_cancellation_goes_to_the_next(clock: FakeClock) -> None:
    queue = Queue(clock)
    calls = [queue.come(name) for name in "abc"]
    await settle()
    queue.turns.leave()
    calls[1].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert queue.entered == ["a", "c"]
    queue.turns.leave()
    await queue.turns.enter(0)


async def test_the_last_one_who_is_cancelled_at_that_moment_leaves_it_free(clock: FakeClock) -> None:
    queue = Queue(clock)
    calls = [queue.come(name) for name in "ab"]
    await settle()
    queue.turns.leave()
    calls[1].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await queue.turns.enter(0)


async def test_closing_turns_everyone_away_each_with_an_error_of_its_own(clock: FakeClock) -> None:
    queue = Queue(clock)
    calls = [queue.come(name) for name in "abc"]
    await settle()
    queue.turns.close(over)
    errors = (await asyncio.gather(*calls, return_exceptions=True))[1:]
    with pytest.raises(SessionEnded) as late:
        await queue.turns.enter(PATIENCE)
    assert {type(error) for error in errors} == {SessionEnded}
    assert len({id(error) for error in (*errors, late.value)}) == 3


async def test_one_who_is_cancelled_after_the_close_takes_nothing(clock: FakeClock) -> None:
    queue = Queue(clock)
    first, second = queue.come("a"), queue.come("b")
    await settle()
    queue.turns.close(over)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    queue.turns.leave()


async def test_no_timer_is_left_when_all_have_come_and_gone(clock: FakeClock) -> None:
    queue = Queue(clock)
    calls = [queue.come(name, patience=5) for name in "ab"]
    await settle()
    queue.turns.leave()
    await asyncio.gather(*calls)
    await clock.advance(10)
    queue.turns.leave()
    await queue.turns.enter(0)
