"""What the load generator is told, and what is made of its answer."""

import base64
import json
from typing import Any

import pytest

from bench.client import Opened, an_input, call_slot
from bench.load import Plan, Slot, WrongAnswers, report_of
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
