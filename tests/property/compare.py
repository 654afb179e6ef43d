"""Comparing what the system shows with what the model says."""

import asyncio
import json
from typing import Any

from gateway.errors import GatewayError
from gateway.model import Session
from gateway.sessions.requests import RunAnswer
from gateway.timing import EXPIRY_SLACK
from tests.property.facts import Call, ModelSession, Snapshot

LATE = EXPIRY_SLACK + 0.0001
"""How late an expiry may be seen in virtual time."""


def compare(expected: Snapshot, session: Session, within: float = 1e-5) -> None:
    """Compare how a session is shown."""
    reason = session.end_reason.value if session.end_reason else ""
    assert (session.status.value, reason, session.call_count) == (expected.status, expected.reason, expected.count)
    if expected.status == "active":
        assert abs(session.deadline - 1000 - expected.deadline) < within, (session, expected)
        assert abs(session.expires_at - 1_700_000_000 - expected.deadline) < within
        assert session.in_flight == expected.in_flight, (session, expected)


def compare_answer(call: Call, task: asyncio.Task[Any]) -> None:
    """Compare how a call was answered, if it was."""
    expected = call.answer
    if expected is None:
        assert not task.done(), f"{call} is answered: {task}"
        return
    assert task.done(), f"{call} is not answered"
    error = task.exception()
    assert error is None or isinstance(error, GatewayError), error
    code = type(error).__name__ if error else "ok"
    run_state = error.run_state.value if error and error.run_state else ""
    assert code in expected.code.split(" or "), f"{call}: {error}"
    assert run_state == expected.run_state, f"{call}: {error}"
    if error is not None:
        if expected.reason:
            assert error.end_reason == expected.reason
        return
    answer: RunAnswer = task.result()
    if expected.tape is not None:
        assert json.loads(answer.output)["tape"] == expected.tape
    if expected.session is not None:
        assert answer.session is not None
        # One that has waited may have got its worker up to that late.
        compare(expected.session, answer.session, 4 * LATE)


def make_sure(session: ModelSession, record: Session) -> None:
    """Take over what nobody can know when worker and gateway were lost at once."""
    assert len(session.tape) <= record.call_count <= max(session.recorded, len(session.tape))
    assert record.end_reason is not None
    assert (record.status.value, record.end_reason.value) in {("expired", "idle_timeout"), ("ended", "worker_lost")}
    session.status, session.reason = record.status.value, record.end_reason.value
    session.unsure, session.extra = False, record.call_count - len(session.tape)
