"""`sgw session get`, `list`, `keepalive` and `end`."""

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.cli.conftest import NOBODY_THERE, Sgw, command, eventually

NewSession = Callable[[], str]
NOT_THERE = "sess_" + "a" * 26


def test_get_shows_every_field_of_the_session(sgw: Sgw, new_session: NewSession) -> None:
    session_id = new_session()
    found = sgw("session", "get", session_id).json
    assert found["session_id"] == session_id
    assert "id" not in found
    assert found["status"] == "active"
    assert found["call_count"] == 1
    assert found["end_reason"] is None
    assert 0 < found["expires_in"] <= found["session_timeout"] == 60
    created, expires = (datetime.fromisoformat(found[name]) for name in ("created_at", "expires_at"))
    assert 59 < (expires - created).total_seconds() < 90


def test_get_does_not_extend_a_session_and_keepalive_does(sgw: Sgw, new_session: NewSession) -> None:
    session_id = new_session()
    first, second = (sgw("session", "get", session_id).json["expires_at"] for _ in range(2))
    assert first == second
    assert sgw("session", "keepalive", session_id).json["expires_at"] > second


def test_end_is_told_by_get_and_may_be_repeated(sgw: Sgw, new_session: NewSession) -> None:
    session_id = new_session()
    ended = sgw("session", "end", session_id)
    assert (ended.code, ended.json["status"], ended.json["end_reason"]) == (0, "ended", "caller")
    assert sgw("session", "end", session_id).json["ended_at"] == ended.json["ended_at"]
    assert sgw("session", "get", session_id).json["status"] == "ended"


@pytest.mark.parametrize("action", ["get", "keepalive", "end"])
def test_a_session_that_is_not_there_is_an_error(sgw: Sgw, action: str) -> None:
    result = sgw("session", action, NOT_THERE)
    assert result.code == 3
    assert "SESSION_NOT_FOUND" in result.err
    assert result.out == b""


def test_several_sessions_are_ended_although_one_is_not_there(sgw: Sgw, new_session: NewSession) -> None:
    first, last = new_session(), new_session()
    result = sgw("session", "end", first, NOT_THERE, last)
    assert result.code == 3
    assert [each["session_id"] for each in result.json["sessions"]] == [first, NOT_THERE, last]
    assert [each.get("status") for each in result.json["sessions"]] == ["ended", None, "ended"]
    assert result.json["sessions"][1]["error"]["code"] == "SESSION_NOT_FOUND"
    assert NOT_THERE in result.err


def test_list_is_filtered_cut_and_has_the_newest_first(sgw: Sgw, new_session: NewSession) -> None:
    older, newer, ended = new_session(), new_session(), new_session()
    sgw("session", "end", ended)
    active = sgw("session", "list", "--status", "active", "--app", "kv").json
    assert [each["session_id"] for each in active["sessions"]][:2] == [newer, older]
    assert sgw("session", "list", "--status", "ended").json["sessions"][0]["session_id"] == ended
    assert sgw("session", "list", "--app", "nothing").json == {"sessions": [], "more": False}
    cut = sgw("session", "list", "--limit", "2").json
    assert ([each["session_id"] for each in cut["sessions"]], cut["more"]) == ([ended, newer], True)
    everything = sgw("session", "list", "--all").json
    exactly = sgw("session", "list", "--limit", str(len(everything["sessions"]))).json
    assert exactly == everything | {"sessions": exactly["sessions"]}
    assert {older, newer, ended} <= {each["session_id"] for each in everything["sessions"]}
    assert not everything["more"]


def test_a_status_that_does_not_exist_is_a_wrong_command_line(sgw: Sgw) -> None:
    assert sgw("session", "list", "--status", "gone").code == 2


def test_follow_renews_until_the_last_session_is_lost(sgw: Sgw, new_session: NewSession) -> None:
    session_id = new_session()
    process = subprocess.Popen(command("session", "keepalive", session_id, "--follow"), stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as lines:
        renewed = json.loads(lines.readline())
        sgw("session", "end", session_id)
        lost = json.loads(lines.readline())
        assert lines.read() == b""
    assert (renewed["session_id"], renewed["status"]) == (session_id, "active")
    assert (lost["session_id"], lost["error"]["code"]) == (session_id, "SESSION_ENDED")
    assert process.wait(20) == 3


def test_follow_ends_with_ctrl_c(sgw: Sgw, new_session: NewSession) -> None:
    process = subprocess.Popen(
        command("session", "keepalive", new_session(), "--follow"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_a_session_that_expires_is_told_so(sgw: Sgw) -> None:
    session_id = sgw("app", "run", "kv", "--session", "new", "--session-timeout", "1").json["session_id"]
    eventually(lambda: sgw("session", "get", session_id).json["status"] == "expired")
    result = sgw("app", "run", "kv", "--session", session_id)
    assert result.code == 3
    assert "SESSION_EXPIRED" in result.err
    assert "keepalive" in result.err


def test_following_ends_at_once_where_no_gateway_is(sgw: Sgw) -> None:
    result = sgw("session", "keepalive", "--follow", NOT_THERE, "--address", NOBODY_THERE)
    assert (result.code, result.out) == (5, b"")
    assert f"Nothing listens at {NOBODY_THERE}." in result.err
