"""The barest workers: what they answer, and that they are gone."""

import sys
from collections.abc import Iterator

import pytest

from bench.processes import descendants
from bench.servers import Yardstick, yardstick
from gateway.testing.waiting import exists, until

PROGRAM = [sys.executable, "-m", "bench.yardsticks.bare_workers"]


@pytest.fixture
def workers() -> Iterator[Yardstick]:
    with yardstick(PROGRAM) as running:
        yield running


def asked(workers: int, called: list[int], in_flight: int = 1) -> dict[str, object]:
    return {"workers": workers, "called": called, "in_flight": in_flight, "calls": 30, "warmup": 5}


def test_as_many_workers_live_as_were_asked_for_and_those_that_are_called_answer(workers: Yardstick) -> None:
    assert workers.ask(asked(3, [0, 2], in_flight=2))["rate"] > 0
    first = descendants(workers.process.pid)
    assert len(first) == 3
    assert workers.ask(asked(5, [0, 1, 2, 3, 4], in_flight=2))["rate"] > 0
    second = descendants(workers.process.pid)
    assert first < second
    assert len(second) == 5


def test_a_worker_that_is_gone_is_no_answer(workers: Yardstick) -> None:
    with pytest.raises(RuntimeError, match="does not answer"):
        workers.ask(asked(2, [2]))


def test_all_are_gone_at_the_end() -> None:
    with yardstick(PROGRAM) as running:
        running.ask(asked(4, [0]))
        pids = descendants(running.process.pid)
    assert running.process.returncode == 0
    assert [pid for pid in pids if exists(pid)] == []


async def test_all_are_gone_when_the_program_is_killed() -> None:
    with yardstick(PROGRAM) as running:
        running.ask(asked(4, [0, 1, 2, 3], in_flight=4))
        pids = descendants(running.process.pid)
        assert len(pids) == 4
        running.process.kill()
        running.process.wait()
        await until(lambda: not any(map(exists, pids)))
