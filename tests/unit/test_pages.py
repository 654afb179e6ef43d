"""Page tokens: opaque, and good only for the caller and the query that they came from."""

import base64
from pathlib import Path

import pytest

from gateway.data_directory import CannotStart, token_key
from gateway.errors import InvalidRequest
from gateway.model import SessionStatus
from gateway.sessions.pages import KEY_BYTES, Tokens, query
from gateway.sessions.watch import query_of
from gateway.stores.base import SessionFilter

TOKENS = Tokens()
FILTER = SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv", version="1")
MINE = query_of("ListSessions", "me", FILTER)


def refusal_of(token: str, wanted: bytes = MINE, tokens: Tokens = TOKENS) -> str:
    with pytest.raises(InvalidRequest) as caught:
        tokens.cursor(token, wanted)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]
    return caught.value.message


def test_a_token_leads_back_to_its_cursor() -> None:
    token = TOKENS.token(MINE, "42")
    assert TOKENS.cursor(token, MINE) == "42"
    assert "42" not in token
    assert token.isascii()
    assert "=" not in token


def test_no_cursor_is_no_token() -> None:
    assert TOKENS.token(MINE, "") == ""
    assert TOKENS.cursor("", MINE) == ""


@pytest.mark.parametrize(
    "other",
    [
        query_of("ListSessions", "me", SessionFilter(owner="you", status=SessionStatus.ACTIVE, app="kv", version="1")),
        query_of("ListSessions", "me", SessionFilter(owner="me", status=SessionStatus.ENDED, app="kv", version="1")),
        query_of("ListSessions", "me", SessionFilter(owner="me", app="kv", version="1")),
        query_of("ListSessions", "me", SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv1")),
        query_of("ListSessions", "me", SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv", version="2")),
        query_of("ListSessions", "me", SessionFilter()),
        query_of("ListSessions", "you", FILTER),
        query_of("WatchSessions", "me", FILTER),
        query("ListApps", "me"),
    ],
)
def test_a_token_of_another_query_or_caller_or_method_is_refused_like_one_that_is_none(other: bytes) -> None:
    assert refusal_of(TOKENS.token(MINE, "42"), other) == refusal_of("x")


def test_no_two_queries_are_the_same() -> None:
    queries = [query("M", "a", "b"), query("M", "ab", ""), query("M", "a", None), query("M", "a", ""), query("Ma", "b")]
    assert len(set(queries)) == len(queries)


@pytest.mark.parametrize(
    "token", ["x", "!!!!", "AAAA", "ä", "A" * 1000, "42", "\0", base64.urlsafe_b64encode(b"\xff" * 20).decode()]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    refusal_of(token)


def test_what_is_refused_is_named_by_the_field_that_it_came_in() -> None:
    for token in ("x", TOKENS.token(query("ListApps", "me"), "42")):
        with pytest.raises(InvalidRequest) as caught:
            TOKENS.cursor(token, MINE, "resume_token")
        assert [violation.field for violation in caught.value.violations] == ["resume_token"]


def test_a_token_that_was_cut_or_changed_is_refused_wherever_that_is() -> None:
    token = TOKENS.token(MINE, "1234567")
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for length in range(1, len(token)):
        refusal_of(token[:length])
    for place in range(len(data)):
        forged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        refusal_of(base64.urlsafe_b64encode(forged).decode().rstrip("="))


def test_whoever_has_another_key_gives_other_tokens() -> None:
    refusal_of(Tokens().token(MINE, "42"))
    one, same = Tokens(b"k" * KEY_BYTES), Tokens(b"k" * KEY_BYTES)
    assert same.cursor(one.token(MINE, "42"), MINE) == "42"


def test_the_key_in_the_data_directory_is_drawn_once_and_kept_from_others(tmp_path: Path) -> None:
    key = token_key(tmp_path / "data", KEY_BYTES)
    assert token_key(tmp_path / "data", KEY_BYTES) == key != token_key(tmp_path / "other", KEY_BYTES)
    assert len(key) == KEY_BYTES
    (path,) = (tmp_path / "data").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_damaged_is_told_and_not_replaced(tmp_path: Path) -> None:
    token_key(tmp_path, KEY_BYTES)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"short")
    with pytest.raises(CannotStart, match=r"tokens\.key is damaged: remove it"):
        token_key(tmp_path, KEY_BYTES)
    assert path.read_bytes() == b"short"
