"""The Python calls that the user's guide shows, in its own shape: one test for each."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway import (
    Inference,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    SessionNotFoundError,
    VersionMismatchError,
)

UNKNOWN = "sess_" + "a" * 26


def test_quick_start_a_session_is_started_continued_and_ended() -> None:
    client = Inference(api_key="...")
    result = client.run({"app": "my-app@abc123", "input": {"action": "init"}, "session": "new"})
    session_id = result["session_id"]
    assert session_id.startswith("sess_")
    assert result.output == {"calls": 1, "action": "init", "state": {}}
    result = client.run({"app": "my-app@abc123", "input": {"action": "process"}, "session": session_id})
    assert result["output"]["calls"] == 2
    assert result["session_id"] == session_id
    client.sessions.end(session_id)
    assert client.sessions.get(session_id).status == "ended"
    client.close()


@pytest.mark.parametrize("seconds", [300, 600])
def test_a_session_timeout_is_given_with_the_first_call(client: Inference, seconds: int) -> None:
    result = client.run(
        {"app": "my-app", "input": {"key": "value"}, "session": "new", "session_timeout": seconds},
    )
    info = client.sessions.get(result["session_id"])
    assert info.session_timeout == seconds
    assert info.expires_at is not None
    assert seconds - 5 < (info.expires_at - datetime.now(UTC)).total_seconds() <= seconds
    client.sessions.end(info.id)


def test_a_session_is_read_with_its_status_expiry_and_number_of_calls(client: Inference, session_id: str) -> None:
    info = client.sessions.get(session_id)
    assert info.status == "active"
    assert info.expires_at is not None
    assert info.expires_at > datetime.now(UTC)
    assert info.call_count == 1


def test_the_status_is_one_of_three_words(
    client: Inference, session_id: str, ended_session: str, expired_session: str
) -> None:
    words = [client.sessions.get(one).status for one in (session_id, ended_session, expired_session)]
    assert words == ["active", "ended", "expired"]


def test_sessions_are_listed_by_iterating(client: Inference, session_id: str, ended_session: str) -> None:
    sessions = client.sessions.list()
    lines = []
    for s in sessions:
        lines.append(f"{s.id}: {s.status}")  # noqa: PERF401 - as the guide has it
    assert lines[:2] == [f"{ended_session}: ended", f"{session_id}: active"]


def test_keepalive_returns_the_new_expiry(client: Inference, session_id: str) -> None:
    before = client.sessions.get(session_id)
    info = client.sessions.keepalive(session_id)
    assert before.expires_at is not None
    assert info.expires_at is not None
    assert info.expires_at > before.expires_at
    assert info.call_count == before.call_count


def test_a_session_is_ended_by_its_id_and_ending_it_again_is_fine(client: Inference, session_id: str) -> None:
    client.sessions.end(session_id)
    assert client.sessions.end(session_id).status == "ended"


STATEFUL_APP = """
from typing import Any

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput


class SetInput(BaseAppInput):
    key: str
    value: Any


class SetOutput(BaseAppOutput):
    success: bool


class GetInput(BaseAppInput):
    key: str


class GetOutput(BaseAppOutput):
    value: Any
    found: bool


class App(BaseApp):
    def __init__(self):
        self.state = {}

    async def set_value(self, input: SetInput) -> SetOutput:
        self.state[input.key] = input.value
        return SetOutput(success=True)

    async def get_value(self, input: GetInput) -> GetOutput:
        value = self.state.get(input.key)
        return GetOutput(value=value, found=value is not None)
"""


def test_the_stateful_app_keeps_what_was_set_within_its_session(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STATEFUL_APP)
    with (
        GatewayProcess(tmp_path / "data", {"my-app": tmp_path}) as gateway,
        Inference(api_key="...", address=gateway.address) as client,
        client.session("my-app") as one,
        client.session("my-app") as two,
    ):
        assert one.call("set_value", {"key": "answer", "value": 2**53 + 1}).output == {"success": True}
        assert one.call("get_value", {"key": "answer"}).output == {"value": 2**53 + 1, "found": True}
        assert two.call("get_value", {"key": "answer"}).output == {"value": None, "found": False}


class CountedTime:
    """Stands for the module `time`: sleeps are written down, not slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(seconds)


def test_keepalive_in_a_loop_at_four_fifths_of_the_timeout_keeps_the_session(
    client: Inference, session_id: str
) -> None:
    time, session_timeout = CountedTime(), client.sessions.get(session_id).session_timeout
    renewed = []
    work_in_progress = True
    while work_in_progress:
        renewed.append(client.sessions.keepalive(session_id))
        time.sleep(session_timeout * 0.8)
        work_in_progress = len(time.slept) < 3
    assert time.slept == [48.0, 48.0, 48.0]
    expiries = [info.expires_at for info in renewed if info.expires_at is not None]
    assert len(expiries) == 3
    assert expiries == sorted(set(expiries))


@pytest.mark.parametrize(
    ("state", "kind"),
    [("unknown", SessionNotFoundError), ("expired", SessionExpiredError), ("ended", SessionEndedError)],
)
def test_each_way_to_lose_a_session_has_its_exception_and_a_new_one_is_started(
    client: Inference, ended_session: str, expired_session: str, state: str, kind: type[SessionGatewayError]
) -> None:
    session_id = {"unknown": UNKNOWN, "ended": ended_session, "expired": expired_session}[state]
    caught: type[Exception] | None = None
    try:
        result = client.run({"app": "my-app", "input": {"key": "value"}, "session": session_id})
    except SessionNotFoundError:
        caught = SessionNotFoundError
        result = client.run({"app": "my-app", "input": {"key": "value"}}, session="new")
    except SessionExpiredError:
        caught = SessionExpiredError
        result = client.run({"app": "my-app", "input": {"key": "value"}}, session="new")
    except SessionEndedError:
        caught = SessionEndedError
        result = client.run({"app": "my-app", "input": {"key": "value"}}, session="new")
    assert caught is kind
    assert result.output["calls"] == 1
    assert result["session_id"] != session_id
    client.sessions.end(result["session_id"])


def test_ending_in_finally_works_whether_the_call_failed_or_not(client: Inference, session_id: str) -> None:
    try:
        result = client.run({"app": "my-app", "input": {"key": "value"}, "session": session_id})
    finally:
        client.sessions.end(session_id)
    assert result.output["calls"] == 2
    with pytest.raises(SessionEndedError):  # and nothing else on the way out
        try:
            client.run({"app": "my-app", "session": session_id})
        finally:
            client.sessions.end(session_id)


def call_with_retry(client: Inference, params: Mapping[str, Any], session_id: str) -> Any:
    """Call in a session; when it has expired, in a new one, and tell its id."""
    try:
        return client.run({**params, "session": session_id})
    except SessionExpiredError:
        result = client.run({**params, "session": "new"})
        return result, result["session_id"]


def test_an_expired_session_is_recreated_by_a_helper_and_a_living_one_is_used(
    client: Inference, session_id: str, expired_session: str
) -> None:
    params = {"app": "my-app", "input": {"key": "value"}}
    assert call_with_retry(client, params, session_id)["output"]["calls"] == 2
    result, new_session_id = call_with_retry(client, params, expired_session)
    assert result["output"]["calls"] == 1
    assert new_session_id == result["session_id"] != expired_session
    client.sessions.end(new_session_id)


def test_a_session_as_a_context_manager_is_ended_on_exit(client: Inference) -> None:
    with client.session("my-app@abc123") as session:
        first = session.call({"action": "init"})
        second = session.call({"action": "process"})
        session_id = session.id
    assert [first.output["calls"], second.output["calls"]] == [1, 2]
    assert session_id is not None
    info = client.sessions.get(session_id)
    assert (info.status, info.end_reason, info.call_count) == ("ended", "caller", 2)


def test_a_pinned_call_goes_on_in_its_session_and_an_unpinned_one_is_refused_once_the_version_changed(
    client: Inference,
) -> None:
    # "older" is deployed and not current, as after a deployment during the session.
    session_id = client.run({"app": "my-app@older", "session": "new"})["session_id"]
    assert client.run({"app": "my-app@older", "session": session_id, "input": {}}).output["calls"] == 2
    with pytest.raises(VersionMismatchError) as refused:
        client.run({"app": "my-app", "session": session_id, "input": {}})
    assert refused.value.run_state == "not_started"
    assert client.run({"app": "my-app@older", "session": session_id, "input": {}}).output["calls"] == 3
    client.sessions.end(session_id)
