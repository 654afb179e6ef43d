"""The tables of the user's guide, row by row: session, session_timeout, errors with their HTTP status."""

import pytest

from sessiongateway import (
    AppMismatchError,
    Inference,
    InvalidRequestError,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    SessionNotFoundError,
    VersionMismatchError,
    WorkerLeasedError,
)

UNKNOWN = "sess_" + "a" * 26


def test_session_new_makes_one_and_returns_its_id(client: Inference) -> None:
    one, two = (client.run({"app": "my-app", "session": "new"}) for _ in range(2))
    assert one.session_id != two.session_id
    assert one.output["calls"] == two.output["calls"] == 1
    for result in (one, two):
        client.sessions.end(result.session_id)


def test_a_session_id_goes_on_with_it(client: Inference, session_id: str) -> None:
    result = client.run({"app": "my-app", "input": {"key2": 1}, "session": session_id})
    assert result.output == {"calls": 2, "action": None, "state": {"key": "value", "key2": 1}}


def test_no_session_is_a_plain_call_that_belongs_to_none(client: Inference, session_id: str) -> None:
    before = len(list(client.sessions.list()))
    result = client.run({"app": "my-app", "input": {}})
    assert (result.session_id, result.session) == ("", None)
    assert "key" not in result.output["state"]
    assert len(list(client.sessions.list())) == before
    assert client.sessions.get(session_id).call_count == 1


@pytest.mark.parametrize(("given", "kept"), [(1, 1), (59, 59), (60, 60), (300, 300), (3600, 3600), (None, 60)])
def test_a_timeout_is_1_to_3600_seconds_and_60_by_default(client: Inference, given: int | None, kept: int) -> None:
    result = client.run({"app": "my-app", "session": "new", "session_timeout": given})
    assert result.session is not None
    assert result.session.session_timeout == kept
    client.sessions.end(result.session_id)


@pytest.mark.parametrize("timeout", [-1, 0, 3601, 2**31 - 1])
def test_any_other_timeout_is_refused_by_its_field(client: Inference, timeout: int) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        client.run({"app": "my-app", "session": "new", "session_timeout": timeout})
    assert [field for field, _ in refused.value.field_violations] == ["session_timeout"]


@pytest.mark.parametrize("where", ["a session", "none"])
def test_a_timeout_goes_only_with_a_new_session(client: Inference, session_id: str, where: str) -> None:
    session = session_id if where == "a session" else None
    with pytest.raises(InvalidRequestError):
        client.run({"app": "my-app", "session": session, "session_timeout": 60})
    assert client.sessions.get(session_id).session_timeout == 60


def check(error: SessionGatewayError, code: str, status: int, session_id: str | None) -> None:
    """Assert what a row of the table says of an error."""
    assert (error.code, error.http_status, error.run_state) == (code, status, "not_started")
    assert error.session_id == session_id


def test_session_not_found_is_404(client: Inference) -> None:
    with pytest.raises(SessionNotFoundError) as caught:
        client.run({"app": "my-app", "session": UNKNOWN})
    check(caught.value, "SESSION_NOT_FOUND", 404, UNKNOWN)


def test_session_expired_is_410(client: Inference, expired_session: str) -> None:
    with pytest.raises(SessionExpiredError) as caught:
        client.run({"app": "my-app", "session": expired_session})
    check(caught.value, "SESSION_EXPIRED", 410, expired_session)


def test_session_ended_is_410(client: Inference, ended_session: str) -> None:
    with pytest.raises(SessionEndedError) as caught:
        client.run({"app": "my-app", "session": ended_session})
    check(caught.value, "SESSION_ENDED", 410, ended_session)


def test_worker_leased_is_409(client: Inference, session_id: str) -> None:
    worker_id = client.sessions.get(session_id).worker_id
    with pytest.raises(WorkerLeasedError) as caught:
        client.run({"app": "my-app", "session": "new", "worker_id": worker_id})
    check(caught.value, "WORKER_LEASED", 409, None)


def test_app_mismatch_is_400(client: Inference, session_id: str) -> None:
    with pytest.raises(AppMismatchError) as caught:
        client.run({"app": "other-app", "session": session_id})
    check(caught.value, "APP_MISMATCH", 400, session_id)


def test_version_mismatch_is_400(client: Inference, session_id: str) -> None:
    with pytest.raises(VersionMismatchError) as caught:
        client.run({"app": "my-app@older", "session": session_id})
    check(caught.value, "VERSION_MISMATCH", 400, session_id)


def test_what_a_session_had_is_not_there_in_the_next_one(client: Inference, session_id: str) -> None:
    client.sessions.end(session_id)
    with client.session("my-app") as fresh:
        assert fresh.call("get_value", {"key": "key"}).output == {"value": None, "found": False}
