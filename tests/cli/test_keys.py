"""`sgw key`: keys are made, listed and revoked without a gateway."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.keyfile import KeyFile
from gateway.testing.process import GatewayProcess
from tests.cli.conftest import EXAMPLES, Result, Sgw, eventually
from tests.cli.pseudo_terminal import PseudoTerminal

BAD_EXPIRIES = ["", "30", "30w", "-1d", "0d", "2020-01-01", "2030-02-31", "tomorrow", "999999999d", "99999d99h"]


@pytest.fixture
def key(sgw: Sgw, tmp_path: Path) -> Callable[..., Result]:
    """Run `sgw key` on a data directory of this test's own."""
    return lambda command, *arguments: sgw("key", command, *arguments, "--data-dir", str(tmp_path / "data"))


Command = Callable[..., Result]


def error(result: Result) -> dict[str, Any]:
    """Return what a command with --json says of its failure."""
    return dict(json.loads(result.err)["error"])


def test_a_key_is_shown_once_and_only_its_hash_is_kept(key: Command, tmp_path: Path) -> None:
    made = key("create", "me").json
    assert made["key"].endswith(made["ends_with"])
    assert (made["name"], made["scopes"], made["state"], made["expires_at"]) == ("me", ["execute"], "active", None)
    listed = key("list")
    assert listed.json == {"keys": [{name: value for name, value in made.items() if name != "key"}]}
    assert made["key"].encode() not in listed.out
    assert KeyFile(tmp_path / "data").read()[made["id"]].belongs_to(made["key"])


def test_scopes_are_those_that_were_asked_for(key: Command) -> None:
    assert key("create", "me", "--scope", "admin", "--scope", "read").json["scopes"] == ["read", "admin"]
    assert key("create", "you", "--scope", "all").code == 2


@pytest.mark.parametrize(
    ("expires", "lasts"),
    [("90m", timedelta(minutes=90)), ("12h", timedelta(hours=12)), ("30d", timedelta(days=30))],
)
def test_a_key_expires_after_a_while(key: Command, expires: str, lasts: timedelta) -> None:
    before = datetime.now(UTC)
    expires_at = datetime.fromisoformat(key("create", "me", "--expires", expires).json["expires_at"])
    assert before + lasts - timedelta(seconds=1) <= expires_at <= datetime.now(UTC) + lasts


@pytest.mark.parametrize(
    ("expires", "expires_at"),
    [
        ("2090-01-31", "2090-01-31T00:00:00.000Z"),
        ("2090-01-31T12:00:00+02:00", "2090-01-31T10:00:00.000Z"),
        ("2090-01-31 12:00", "2090-01-31T12:00:00.000Z"),
    ],
)
def test_a_key_expires_at_a_moment(key: Command, expires: str, expires_at: str) -> None:
    assert key("create", "me", "--expires", expires).json["expires_at"] == expires_at


@pytest.mark.parametrize("expires", BAD_EXPIRIES)
def test_what_is_no_time_to_come_is_refused(key: Command, tmp_path: Path, expires: str) -> None:
    assert key("create", "me", f"--expires={expires}").code == 2
    assert not KeyFile(tmp_path / "data").exists()


def test_a_name_is_one_keys_until_that_is_revoked(key: Command) -> None:
    first = key("create", "me").json
    refused = key("create", "me", "--json")
    assert (refused.code, refused.out, error(refused)["code"]) == (2, b"", "KEY_NAME_TAKEN")
    assert key("revoke", "me").json["keys"][0]["state"] == "revoked"
    second = key("create", "me").json
    assert [each["id"] for each in key("list").json["keys"]] == [second["id"], first["id"]]


def test_a_key_is_revoked_by_its_id_or_its_name_and_once_more_without_harm(key: Command) -> None:
    made = [key("create", name).json["id"] for name in ("a", "b")]
    once = key("revoke", made[0], "b").json["keys"]
    assert [each["id"] for each in once] == made
    assert [each["state"] for each in once] == ["revoked", "revoked"]
    assert key("revoke", made[0]).json["keys"] == once[:1]


def test_of_keys_of_which_one_is_unknown_none_is_revoked(key: Command) -> None:
    key("create", "a")
    refused = key("revoke", "a", "b", "--json")
    assert (refused.code, refused.out, error(refused)["code"]) == (3, b"", "KEY_NOT_FOUND")
    assert key("list").json["keys"][0]["state"] == "active"


def test_a_key_that_is_given_instead_of_its_name_is_not_repeated(key: Command) -> None:
    made = key("create", "a").json["key"]
    refused = key("revoke", made)
    assert refused.code == 3
    assert made not in refused.err


def test_a_damaged_file_is_told_and_left_alone(key: Command, tmp_path: Path) -> None:
    key("create", "a")
    path = KeyFile(tmp_path / "data").path
    path.write_text("{")
    for command in (("create", "b"), ("list",), ("revoke", "a")):
        refused = key(*command, "--json")
        assert (refused.code, error(refused)["code"]) == (1, "KEYS_UNUSABLE")
        assert str(path) in error(refused)["message"]
    assert path.read_text() == "{"


def test_a_data_directory_that_cannot_be_written_to_is_told(sgw: Sgw, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    refused = sgw("key", "create", "a", "--data-dir", str(tmp_path / "data"), "--json")
    assert (refused.code, error(refused)["code"]) == (1, "KEYS_UNUSABLE")


def test_a_directory_without_keys_lists_none_and_is_not_made(key: Command, tmp_path: Path) -> None:
    listed = key("list")
    assert (listed.code, listed.json) == (0, {"keys": []})
    assert listed.err == f"there is no data directory {tmp_path / 'data'}: no gateway has used it yet\n"
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    assert key("list").err == ""


def test_to_revoke_where_there_are_no_keys_makes_nothing_and_says_that_there_is_no_such_key(
    sgw: Sgw, tmp_path: Path
) -> None:
    for _ in range(2):
        refused = sgw("key", "revoke", "me", "--data-dir", str(tmp_path / "data"), "--json")
        assert (refused.code, error(refused)["code"]) == (3, "KEY_NOT_FOUND")
        assert error(refused)["message"] == "there is no key me"
        assert list(tmp_path.glob("data/*")) == []
        (tmp_path / "data").mkdir(exist_ok=True)


def test_a_key_for_a_gateway_that_never_was_is_made_with_a_word_on_the_directory(key: Command, tmp_path: Path) -> None:
    made = key("create", "me")
    assert (made.code, made.json["name"]) == (0, "me")
    assert made.err == f"made the data directory {tmp_path / 'data'}: no gateway has used it yet\n"
    assert key("create", "you").err == ""


def test_a_person_sees_the_key_alone_on_a_line_and_a_table_of_all(
    terminal: Callable[..., PseudoTerminal], tmp_path: Path
) -> None:
    where = ("--data-dir", str(tmp_path))
    made = terminal("key", "create", "me", "--expires", "2090-01-31", *where)
    assert made.wait() == 0
    shown, what, _ = made.text.splitlines()
    assert any(key.belongs_to(shown.strip()) for key in KeyFile(tmp_path).read().values())
    assert "execute, good until 2090-01-31 00:00 UTC" in what
    listed = terminal("key", "list", *where)
    assert listed.wait() == 0
    assert all(word in listed.text for word in ("me", "execute", "active", "2090-01-31", f"…{shown.strip()[-4:]}"))
    assert shown.strip() not in listed.text


def test_a_key_lets_sgw_in_until_it_is_revoked(sgw: Sgw, key: Command, tmp_path: Path) -> None:
    made = key("create", "me").json["key"]
    with GatewayProcess(tmp_path / "data", {"kv": EXAMPLES / "kv"}) as gateway:
        address = ("--address", gateway.address)
        assert sgw("app", "list", *address, "--api-key", made).code == 0
        refused = sgw("app", "list", *address, "--json")
        assert (refused.code, error(refused)["code"]) == (7, "UNAUTHENTICATED")
        key("revoke", "me")
        eventually(lambda: sgw("app", "list", *address, "--api-key", made).code == 7)
