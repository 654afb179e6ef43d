"""The judge of chaos counts each fault that it is shown, and nothing else."""

import time
from collections.abc import Callable

import pytest

from gateway.worker.family import mark_of
from sessiongateway import (
    AppError,
    DeadlineExceededError,
    RunResult,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    SessionInfo,
    SessionNotFoundError,
    WorkerLostError,
)
from tests.chaos.conftest import TIMEOUT, WORKER, answered, moment, shown, told
from tools.chaos.judge import Judge
from tools.chaos.known import Known
from tools.chaos.tally import Tally
from tools.chaos.troubles import SETTLING, Troubles


def test_what_is_as_it_should_be_is_not_counted(judge: Judge, known: Known, tally: Tally) -> None:
    sent = time.time()
    judge.state(known, ["c"], [answered("a", "b", "c")], sent)
    judge.state(known, ["d", "e"], [answered("a", "b", "c", "e", "d"), answered("a", "b", "c", "e")], sent)
    judge.window(known, shown(), sent)
    judge.count(known, shown(call_count=5))
    judge.finished(
        known, shown("expired", "idle_timeout", expires_at=moment(known.promised), ended_at=moment(known.promised))
    )
    judge.told(AppError("", run_state="completed"))
    assert told(tally) == {}
    assert known.tokens == ["a", "b", "c", "e", "d"]
    assert (tally.calls, tally.latest_expiry) == (3, 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: answered("a", "c"),
        lambda: answered("a", "b", "b", "c"),
        lambda: answered("b", "a", "c"),
        lambda: answered("c"),
        lambda: answered("a", "b", "c", in_file=["a", "b"]),
        lambda: answered("a", "b", "c", call_count=4),
        lambda: answered("a", "b", "c", expires_at=moment(time.time() + TIMEOUT - 0.5)),
        lambda: answered("a", "b", "c", status="ended"),
    ],
)
def test_an_answer_of_another_state_is_wrong(
    judge: Judge, known: Known, tally: Tally, answer: Callable[[], RunResult]
) -> None:
    judge.state(known, ["c"], [answer()], time.time())
    assert told(tally).keys() == {"wrong_answers"}


def test_calls_sent_at_the_same_time_have_one_order_among_them(judge: Judge, known: Known, tally: Tally) -> None:
    judge.state(known, ["c", "d"], [answered("a", "b", "c"), answered("a", "b", "d")], time.time())
    assert "wrong_answers" in told(tally)


@pytest.mark.parametrize(
    ("error", "counter"),
    [
        (SessionNotFoundError(), "lost_without_reason"),
        (WorkerLostError(), "lost_without_reason"),
        (SessionEndedError(end_reason="worker_lost"), "lost_without_reason"),
        (SessionEndedError(end_reason="gateway_restarted"), "lost_without_reason"),
        (DeadlineExceededError(), "without_a_word"),
        (AppError(), "wrong_answers"),
    ],
)
def test_an_end_that_nobody_caused_is_counted(
    judge: Judge, known: Known, tally: Tally, error: SessionGatewayError, counter: str
) -> None:
    judge.over(known, error)
    assert told(tally) == {counter: 1}


@pytest.mark.parametrize("by", ["id", "mark"])
def test_a_session_may_be_lost_with_a_worker_that_was_killed_and_for_no_other_reason(
    judge: Judge, known: Known, tally: Tally, troubles: Troubles, by: str
) -> None:
    now = time.time()
    if by == "id":
        troubles.killed[WORKER] = now - 0.5
    else:
        troubles.killed_marks[mark_of(WORKER)] = now - 0.5
    judge.over(known, WorkerLostError())
    judge.over(known, SessionEndedError(end_reason="worker_lost"))
    judge.over(known, SessionExpiredError())
    judge.finished(known, shown("ended", "worker_lost", ended_at=moment(now)))
    assert told(tally) == {}
    assert tally.slowest_detection == pytest.approx(0.5, abs=0.01)
    judge.over(known, SessionEndedError(end_reason="limit"))
    assert told(tally) == {"lost_without_reason": 1}


def test_a_loss_with_a_node_is_timed_by_itself_while_all_gateways_are_there(
    judge: Judge, known: Known, tally: Tally, troubles: Troubles
) -> None:
    now = time.time()
    troubles.dead_with_node[mark_of(WORKER)] = now - 0.5
    lost = shown("ended", "worker_lost", ended_at=moment(now + 1))
    with troubles.trouble(of_gateways=False):
        judge.finished(known, lost)
    assert tally.slowest_node_detection == pytest.approx(1.5, abs=0.01)
    with troubles.trouble():
        judge.finished(known, lost)
    assert (told(tally), tally.node_losses, tally.slowest_detection) == ({}, 1, 0.0)


def test_a_session_that_expired_before_its_time_is_early(judge: Judge, known: Known, tally: Tally) -> None:
    early = moment(known.promised - 0.1)
    judge.finished(known, shown("expired", "idle_timeout", expires_at=early, ended_at=early))
    judge.finished(known, shown("expired", "idle_timeout", expires_at=moment(known.promised), ended_at=early))
    assert told(tally) == {"early_expiries": 2}


def test_a_late_expiry_counts_from_the_end_of_the_trouble(
    judge: Judge, known: Known, tally: Tally, troubles: Troubles
) -> None:
    due = time.time() - 10
    known.promised = due
    expired = shown("expired", "idle_timeout", expires_at=moment(due), ended_at=moment(due + 0.3))
    judge.finished(known, expired)
    assert [tally.latest_expiry, tally.latest_expiry_after_trouble] == pytest.approx([0.3, 0.0], abs=1e-5)
    troubles.spans.append([due - 1, due + 2])
    judge.finished(known, shown("expired", "idle_timeout", expires_at=moment(due), ended_at=moment(due + 2.5)))
    assert [tally.latest_expiry, tally.latest_expiry_after_trouble] == pytest.approx([0.3, 0.5], abs=1e-5)


def test_a_session_lives_on_if_it_is_active_after_its_end_was_told(judge: Judge, known: Known, tally: Tally) -> None:
    judge.finished(known, shown())
    judge.patience(known)
    assert told(tally) == {"living_on": 2}


def test_gateways_that_show_different_ends_are_wrong(judge: Judge, known: Known, tally: Tally) -> None:
    now = time.time()
    first = shown("expired", "idle_timeout", expires_at=moment(now), ended_at=moment(now))
    judge.agreement(known, [first, first])
    assert told(tally) == {}
    judge.agreement(known, [first, SessionInfo({**first, "ended_at": moment(now + 1)})])
    assert told(tally) == {"wrong_answers": 1}


def test_a_refusal_that_does_not_say_whether_the_call_ran_is_no_word(judge: Judge, tally: Tally) -> None:
    judge.told(SessionGatewayError(run_state="unknown"))
    judge.told(SessionGatewayError())
    assert told(tally) == {"without_a_word": 1}


def test_it_is_calm_where_no_trouble_reaches(troubles: Troubles) -> None:
    with troubles.trouble():
        now = time.time()
        assert not troubles.calm(now, now + 1)
        assert troubles.over_since(now, now + 1) == now + 1
    assert not troubles.calm(now + SETTLING / 2, now + SETTLING)
    assert troubles.calm(now + SETTLING + 1, now + SETTLING + 2)
    assert troubles.calm(now - 2, now - 1)
    assert troubles.over_since(now - 2, now - 1) == now - 2
