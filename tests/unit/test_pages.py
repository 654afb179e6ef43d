"""Page tokens: opaque, and good only for the query that they came from."""

import base64

import pytest

from gateway.errors import InvalidRequest
from gateway.model import SessionStatus
from gateway.sessions.pages import cursor_of, page_token
from gateway.stores.base import SessionFilter

FILTER = SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv", version="1")


def test_a_token_leads_back_to_its_cursor() -> None:
    token = page_token(FILTER, "42")
    assert cursor_of(token, FILTER) == "42"
    assert "42" not in token
    assert token.isascii()
    assert "=" not in token


def test_no_cursor_is_no_token() -> None:
    assert page_token(FILTER, "") == ""
    assert cursor_of("", FILTER) == ""


@pytest.mark.parametrize(
    "other",
    [
        SessionFilter(owner="you", status=SessionStatus.ACTIVE, app="kv", version="1"),
        SessionFilter(owner="me", status=SessionStatus.ENDED, app="kv", version="1"),
        SessionFilter(owner="me", app="kv", version="1"),
        SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv1"),
        SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv", version="2"),
        SessionFilter(),
    ],
)
def test_a_token_of_another_query_is_refused(other: SessionFilter) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cursor_of(page_token(FILTER, "42"), other)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


@pytest.mark.parametrize(
    "token", ["x", "!!!!", "AAAA", "ä", "A" * 1000, "42", "\0", base64.urlsafe_b64encode(b"\xff" * 20).decode()]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        cursor_of(token, FILTER)


def test_what_is_refused_is_named_by_the_field_that_it_came_in() -> None:
    for token in ("x", page_token(SessionFilter(), "42")):
        with pytest.raises(InvalidRequest) as caught:
            cursor_of(token, FILTER, "resume_token")
        assert [violation.field for violation in caught.value.violations] == ["resume_token"]


def test_a_token_that_was_cut_or_changed_is_refused() -> None:
    token = page_token(FILTER, "")
    token = page_token(FILTER, "1234567")
    for cut in range(1, 11):
        with pytest.raises(InvalidRequest):
            cursor_of(token[:cut], FILTER)
    with pytest.raises(InvalidRequest):
        cursor_of("A" + token[1:] if token[0] != "A" else "B" + token[1:], FILTER)
