"""Workers that are ended in their turn, on virtual time."""

from typing import Any

import pytest

from gateway.testing.clock import FakeClock
from gateway.timing import ENDING_PATIENCE, ENDING_PAUSE, ENDING_TURN
from gateway.workers.ending import EndingQueue


class Leaving:
    """Stands for a worker."""

    left = False

    def leave(self) -> None:
        self.left = True


class Ends:
    """A queue that ends two at a time, and what it has ended."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.begun: list[tuple[Any, str]] = []
        self.queue = EndingQueue(self.clock, lambda worker, reason: self.begun.append((worker, reason)), at_a_time=2)

    def add(self, count: int) -> list[Any]:
        workers = [Leaving() for _ in range(count)]
        for worker in workers:
            self.queue.add(worker, "idle_timeout")  # type: ignore[arg-type]
        return workers


@pytest.fixture
def ends() -> Ends:
    return Ends()


async def test_nobodys_end_begins_before_no_more_workers_have_come_for_a_while(ends: Ends) -> None:
    (one,) = ends.add(1)
    assert one.left
    await ends.clock.advance(ENDING_PAUSE * 0.9)
    (two,) = ends.add(1)
    await ends.clock.advance(ENDING_PAUSE * 0.9)
    assert ends.begun == []
    await ends.clock.advance(ENDING_PAUSE * 0.2)
    assert ends.begun == [(one, "idle_timeout"), (two, "idle_timeout")]


async def test_a_worker_that_has_waited_long_enough_is_ended_although_more_come(ends: Ends) -> None:
    first, *_ = ends.add(1)
    for _ in range(round(ENDING_PATIENCE / ENDING_PAUSE) * 2 - 1):
        await ends.clock.advance(ENDING_PAUSE / 2)
        ends.add(1)
    assert ends.begun == []
    await ends.clock.advance(ENDING_PAUSE / 2)
    assert ends.begun[0] == (first, "idle_timeout")


async def test_they_are_ended_in_their_order_and_so_many_at_a_time(ends: Ends) -> None:
    one, two, three, four = ends.add(4)
    await ends.clock.advance(ENDING_PAUSE)
    assert [worker for worker, _ in ends.begun] == [one, two]
    assert ends.queue.remove(two) is None
    assert [worker for worker, _ in ends.begun] == [one, two, three]
    ends.queue.remove(one)
    assert [worker for worker, _ in ends.begun] == [one, two, three, four]


async def test_one_that_takes_its_time_is_not_waited_for(ends: Ends) -> None:
    *_, last = ends.add(5)
    await ends.clock.advance(ENDING_PAUSE + 2 * ENDING_TURN)
    assert ends.begun[-1] == (last, "idle_timeout")


async def test_one_that_is_gone_or_ended_by_somebody_else_is_passed_over_and_its_reason_is_told(ends: Ends) -> None:
    one, two, three = ends.add(3)
    assert ends.queue.remove(two) == "idle_timeout"
    assert ends.queue.remove(two) is None
    await ends.clock.advance(ENDING_PAUSE)
    assert [worker for worker, _ in ends.begun] == [one, three]


async def test_in_a_hurry_no_more_workers_are_waited_for(ends: Ends) -> None:
    one, two, *_ = ends.add(3)
    ends.queue.hurry()
    assert [worker for worker, _ in ends.begun] == [one, two]


async def test_closing_ends_all_who_wait(ends: Ends) -> None:
    workers = ends.add(5)
    ends.queue.close()
    assert [worker for worker, _ in ends.begun] == workers
