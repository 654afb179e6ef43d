"""What is told of a session that is over."""

from dataclasses import replace

import pytest

from gateway.errors import WorkerExit
from gateway.model import AppRef, EndReason, Session, SessionStatus
from gateway.sessions.finished import finished_error

_LOST = Session(
    id="sess_a",
    owner="me",
    app=AppRef("app", "1"),
    worker_id="wrk_a",
    epoch=1,
    timeout=60,
    created_at=0.0,
    expires_at=60.0,
    deadline=60.0,
    last_call_at=0.0,
    call_count=1,
    in_flight=0,
    status=SessionStatus.ENDED,
    end_reason=EndReason.WORKER_LOST,
    ended_at=1.0,
)


@pytest.mark.parametrize(
    ("exit_", "told"),
    [
        (WorkerExit(signal=9), "its worker died (signal 9) at 1970-01-01T00:00:01.000+00:00"),
        (WorkerExit(exit_code=3), "its worker died (exit code 3) at"),
        (WorkerExit(), "(nobody saw how; its gateway or its machine may have gone with it) at"),
    ],
)
def test_it_says_how_the_worker_ended_as_far_as_anyone_knows(exit_: WorkerExit, told: str) -> None:
    assert told in str(finished_error(replace(_LOST, worker_exit=exit_)).message)
