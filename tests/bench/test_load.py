"""What the load generator is told, and what is made of its answer."""

import base64
import json
from typing import Any

import pytest

from bench.client import Opened, an_input, call_slot, home_slot
from bench.load import Opening, Plan, Slot, WrongAnswers, report_of
from gateway.model import new_session_id
from sessiongateway.v1 import sessions_pb2 as pb

SLOTS = [Slot(b"\x0a\x01a", b"a"), Slot(b"\x0a\x01b", b"b")]
REPORT: dict[str, Any] = {"answers": 10, "errors": {}, "seconds": 2.0, "rate": 5.0, "latency_ms": {"p50": 1.0}}


def test_a_closed_loop_names_its_requests_and_each_slot() -> None:
    plan = Plan("127.0.0.1:1", SLOTS, requests=100, warmup=2).as_json()
    assert plan == {
        "target": "127.0.0.1:1",
        "connections": 2,
        "path": "/sessiongateway.v1.SessionService/Run",
        "kind": "unary",
        "slots": [
            {
                "request": base64.b64encode(b"\x0a\x01a").decode(),
                "contains": base64.b64encode(b"a").decode(),
                "begins": "",
            },
            {
                "request": base64.b64encode(b"\x0a\x01b").decode(),
                "contains": base64.b64encode(b"b").decode(),
                "begins": "",
            },
        ],
        "warmup": 2,
        "timeout": 30.0,
        "requests": 100,
    }


def test_an_open_loop_names_its_rate_and_seconds_instead() -> None:
    plan = Plan("127.0.0.1:1", SLOTS, rate=50.0, seconds=3.0).as_json()
    assert (plan["rate"], plan["seconds"], "requests" in plan) == (50.0, 3.0, False)


def test_only_a_stream_has_a_window() -> None:
    assert "window" not in Plan("t", SLOTS, requests=1).as_json()
    stream = Plan("t", SLOTS, kind="bidi", requests=1, window=8, answers_per_message=100).as_json()
    assert (stream["window"], stream["answers_per_message"]) == (8, 100)


def test_only_a_slot_that_opens_something_has_an_opening() -> None:
    opening = Opening(b"new", placeholder=b"?", after=b"id=")
    plain, opened = Plan("t", [SLOTS[0], Slot(b"in ?", b"a", opening=opening)], requests=1).as_json()["slots"]
    assert "opening" not in plain
    encoded = {name: base64.b64decode(text) for name, text in opened["opening"].items()}
    assert encoded == {"request": b"new", "placeholder": b"?", "after": b"id="}


def test_slots_take_turns_only_when_the_plan_says_with_how_many_requests() -> None:
    assert "in_flight" not in Plan("t", SLOTS, requests=1).as_json()
    assert Plan("t", SLOTS, requests=1, in_flight=2).as_json()["in_flight"] == 2


@pytest.mark.parametrize(
    "loop", [{}, {"requests": 1, "rate": 1.0, "seconds": 1.0}, {"rate": 1.0}, {"requests": 1, "seconds": 1.0}]
)
def test_a_plan_is_either_kind_of_loop(loop: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either requests, or rate and seconds"):
        Plan("t", SLOTS, **loop).as_json()


def test_a_plan_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        Plan("t", [], requests=1).as_json()


def test_no_more_connections_are_asked_for_than_there_are_slots() -> None:
    assert Plan("t", SLOTS[:1], requests=1).as_json()["connections"] == 1


def test_a_report_without_errors_gives_rate_and_latencies() -> None:
    report = report_of(0, json.dumps(REPORT), "")
    assert (report.answers, report.rate, report.latency_ms["p50"]) == (10, 5.0, 1.0)


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (1, json.dumps(REPORT)),
        (0, json.dumps(REPORT | {"errors": {"content": 1}})),
        (0, json.dumps(REPORT | {"answers": 0})),
        (2, ""),
    ],
)
def test_a_run_with_a_wrong_answer_gives_nothing(code: int, output: str) -> None:
    with pytest.raises(WrongAnswers):
        report_of(code, output, "complaint")


def test_a_call_must_come_back_with_the_input_of_its_own_session() -> None:
    first, second = (call_slot(Opened(pb.Session(id=f"sess_{n}"), an_input(n))) for n in range(2))
    request = pb.RunRequest.FromString(first.request)
    assert (request.session, request.input_json) == ("sess_0", b'{"n":0,"text":""}')
    answer = pb.RunResponse(session_id="sess_0", output_json=request.input_json, call_id="call_1").SerializeToString()
    assert first.contains in answer
    assert second.contains not in answer


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_an_input_has_the_size_that_is_asked_for(size: int) -> None:
    assert len(an_input(7, size)) == size
    assert json.loads(an_input(7, size))["n"] == 7


def test_a_session_at_home_is_called_by_the_id_that_its_opening_is_answered_with() -> None:
    slot = home_slot(7)
    assert slot.opening is not None
    opening = pb.RunRequest.FromString(slot.opening.request)
    assert (opening.session, opening.input_json) == ("new", an_input(7))
    session = new_session_id()
    answer = pb.RunResponse(
        session_id=session, output_json=an_input(7), call_id="call_1", session=pb.Session(id=session)
    )
    told = answer.SerializeToString()
    assert slot.contains in told
    # What the load generator does.
    at = told.index(slot.opening.after) + len(slot.opening.after)
    learned = told[at : at + len(slot.opening.placeholder)]
    assert slot.request.count(slot.opening.placeholder) == 1
    call = pb.RunRequest.FromString(slot.request.replace(slot.opening.placeholder, learned))
    assert (call.session, call.input_json) == (session, an_input(7))
