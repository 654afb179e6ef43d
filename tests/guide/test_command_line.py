"""The command lines that the user's guide shows, with this project's command."""

import json

from tests.guide.conftest import Sgw


def test_a_session_is_started_continued_and_ended(sgw: Sgw) -> None:
    started = sgw("app", "run", "my-app", "--session", "new", "--input", '{"key": "value"}')
    assert started.returncode == 0, started.stderr
    session_id = json.loads(started.stdout)["session_id"]
    assert session_id.startswith("sess_")
    continued = sgw("app", "run", "my-app", "--session", session_id, "--input", '{"key": "value2"}')
    assert continued.returncode == 0, continued.stderr
    answer = json.loads(continued.stdout)
    assert answer["session_id"] == session_id
    assert answer["output"] == {"calls": 2, "action": None, "state": {"key": "value2"}}
    ended = sgw("session", "end", session_id)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["status"] == "ended"
    late = sgw("app", "run", "my-app", "--session", session_id)
    assert late.returncode == 3
    assert "SESSION_ENDED" in late.stderr
    assert late.stdout == ""


def test_a_session_is_started_with_a_timeout_of_five_minutes(sgw: Sgw) -> None:
    started = sgw("app", "run", "my-app", "--session", "new", "--session-timeout", "300", "--input", "{}")
    assert started.returncode == 0, started.stderr
    answer = json.loads(started.stdout)
    assert answer["session"]["session_timeout"] == 300
    assert sgw("session", "end", answer["session_id"]).returncode == 0


def test_a_timeout_out_of_range_is_refused_by_its_field(sgw: Sgw) -> None:
    refused = sgw("app", "run", "my-app", "--session", "new", "--session-timeout", "3601")
    assert refused.returncode == 2
    assert "session_timeout" in refused.stderr
