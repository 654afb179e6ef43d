"""What the tests of chaos share: a judge with his tally, and sessions as answers show them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessiongateway import RunResult, SessionInfo
from tools.chaos.judge import Judge
from tools.chaos.known import Known
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles

TIMEOUT = 8
WORKER = "wrk_1"


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
def judge(tally: Tally, troubles: Troubles) -> Judge:
    return Judge(tally, troubles)


@pytest.fixture
def known() -> Known:
    """A session with two calls behind it."""
    return Known("sess_1", WORKER, TIMEOUT, ["a", "b"], promised=time.time() + TIMEOUT)


def moment(seconds: float) -> datetime:
    """Return a moment of the wall clock as answers show it."""
    return datetime.fromtimestamp(seconds, UTC)


def shown(status: str = "active", reason: str | None = None, **fields: Any) -> SessionInfo:
    """Return a session as a gateway shows it, with its whole timeout left unless `fields` say otherwise."""
    now = time.time()
    session = {
        "id": "sess_1",
        "status": status,
        "end_reason": reason,
        "expires_at": moment(now + TIMEOUT),
        "ended_at": None if status == "active" else moment(now),
        "expires_in": timedelta(seconds=TIMEOUT),
        "call_count": 2,
    }
    return SessionInfo({**session, **fields})


def answered(*tokens: str, in_file: list[str] | None = None, **fields: Any) -> RunResult:
    """Return the answer of the app that has been given these tokens."""
    output = {"in_memory": list(tokens), "in_file": list(tokens) if in_file is None else in_file}
    return RunResult({"output": output, "session": shown(**{"call_count": len(tokens), **fields})})


def told(tally: Tally) -> dict[str, int]:
    """Return what was counted as wrong."""
    counted: dict[str, int] = {}
    for remark in tally.remarks:
        name = remark.partition(":")[0]
        counted[name] = counted.get(name, 0) + 1
    assert all(getattr(tally, name) == times for name, times in counted.items())
    return counted
