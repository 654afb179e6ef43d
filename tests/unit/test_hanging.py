"""Who judges when that a gateway process hangs."""

import asyncio
import logging
import time

import pytest

from gateway.board import Board, Figure, Member, Standing
from gateway.config import ConfigError, Settings, load
from gateway.heartbeat import Heartbeat
from gateway.testing.waiting import until
from gateway.timing import HANG_LOOK, HANG_NOTICE, HEARTBEAT, LOOP_STALL
from gateway.vigil import Vigil


class Watched:
    """Processes with heartbeats, the supervisor's look at them, and a clock."""

    def __init__(self, timeout: float, count: int = 2) -> None:
        self.board = Board(count)
        self.now = 1000.0
        self.vigil = Vigil(self.board, timeout, self.now)
        self.beating = set(range(count))
        self.killed: list[int] = []
        for index in range(count):
            self.board.show(index, Figure.STANDING, Standing.SERVING)

    def go_on(self, seconds: float, step: float = HANG_LOOK) -> None:
        """Let time pass, in which the supervisor looks every so often."""
        end = self.now + seconds
        while self.now < end - 1e-6:
            self.now += step
            for index in self.beating:
                self.board.show(index, Figure.BEAT, int(self.now * 1000))
            due = self.vigil.look(self.now)
            if due is not None:
                self.killed.append(due)

    def hanging(self) -> list[bool]:
        return [Member(index, self.board, "").hangs(index) for index in range(self.board.count)]


def test_one_that_is_silent_is_told_of_once_and_killed_later(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(30)
    watched.go_on(5)
    watched.beating = {0}
    watched.go_on(HANG_NOTICE - 1)
    assert caplog.records == []
    watched.go_on(2)
    assert watched.hanging() == [False, True]
    assert [Member(0, watched.board, "").serving(index) for index in range(2)] == [True, False]
    watched.go_on(10)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert watched.killed == []
    watched.go_on(30)
    assert watched.killed == [1]


def test_one_that_answers_again_is_as_before(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched = Watched(30)
    watched.go_on(5)
    for _ in range(2):
        watched.beating = {1}
        watched.go_on(20)
        watched.beating = {0, 1}
        watched.go_on(1)
        assert watched.hanging() == [False, False]
    watched.go_on(60)
    assert watched.killed == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO] * 2


def test_zero_is_never_and_it_is_told_of_all_the_same() -> None:
    watched = Watched(0)
    watched.go_on(1)
    watched.beating = {0}
    watched.go_on(1000)
    assert (watched.hanging(), watched.killed) == ([False, True], [])


def test_one_that_has_not_begun_to_serve_is_not_judged() -> None:
    watched = Watched(30)
    watched.beating = {0}
    watched.go_on(100)
    assert (watched.hanging(), watched.killed) == ([False, False], [])


def test_time_in_which_the_supervisor_did_not_look_does_not_count() -> None:
    watched = Watched(30)
    watched.go_on(5)
    watched.beating = {0}
    watched.go_on(3600, step=600)
    assert (watched.hanging(), watched.killed) == ([False, False], [])


def test_of_several_that_hang_one_is_killed_at_a_time() -> None:
    watched = Watched(30, count=3)
    watched.go_on(5)
    watched.beating = set()
    watched.go_on(100)
    assert watched.killed == [0]
    watched.vigil.ended(0)
    watched.board.died(0)
    watched.go_on(HANG_LOOK)
    assert watched.killed == [0, 1]


def test_a_short_timeout_is_noticed_at_a_third_of_it() -> None:
    watched = Watched(6)
    watched.go_on(5)
    watched.beating = {0}
    watched.go_on(3)
    assert (watched.hanging(), watched.killed) == ([False, True], [])
    watched.go_on(6)
    assert watched.killed == [1]


@pytest.mark.parametrize(("value", "allowed"), [(0, True), (3, True), (2.9, False), (-1, False)])
def test_a_timeout_that_would_kill_who_is_busy_is_refused(value: float, allowed: bool) -> None:
    if allowed:
        assert load({"server": {"hang_timeout": value}}).server.hang_timeout == value
    else:
        with pytest.raises(ConfigError, match="hang_timeout"):
            load({"server": {"hang_timeout": value}})
    assert Settings().server.hang_timeout == 30


async def test_a_loop_that_runs_shows_it_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    board = Board(1)
    heart, beats = Heartbeat(Member(0, board, "")), 0

    def count() -> None:
        nonlocal beats
        beats += 1

    heart.on_beat.append(count)
    heart.start()
    first = board.shown(0, Figure.BEAT)
    assert abs(time.monotonic() * 1000 - first) < 1000
    await until(lambda: beats >= 3)
    assert board.shown(0, Figure.BEAT) - first >= 2 * HEARTBEAT * 1000 - 100
    heart.stop()
    assert (heart.stalls, caplog.records) == (0, [])


async def test_a_loop_that_was_held_up_says_for_how_long_and_with_how_much_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heart = Heartbeat()
    heart.start()
    end = time.monotonic() + HEARTBEAT + LOOP_STALL + 0.1
    while time.monotonic() < end:
        pass  # the work of a function that does not give way
    await until(lambda: heart.stalls)
    heart.stop()
    assert heart.stalls == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the event loop was held up for 1." in caplog.text
    assert "used 0.0 s" not in caplog.text


async def test_a_heart_that_was_stopped_beats_no_more() -> None:
    board = Board(1)
    heart = Heartbeat(Member(0, board, ""))
    heart.start()
    heart.stop()
    last = board.shown(0, Figure.BEAT)
    later: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(1.5 * HEARTBEAT, later.set_result, None)
    await later
    assert board.shown(0, Figure.BEAT) == last
