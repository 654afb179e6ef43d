"""What the log says of the ways in which callers are known."""

import logging
import time
from pathlib import Path

import pytest

from gateway.auth.credentials import Credentials
from gateway.auth.keyfile import KeyFile
from gateway.auth.keyring import Demand, Keyring
from gateway.auth_settings import AuthSettings
from tests.auth.issuing import issue, revoke
from tests.auth.showing import ISSUER, Issuer, write_mappings


def announced(credentials: Credentials, caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    caplog.clear()
    with caplog.at_level(logging.INFO, "gateway.auth"):
        credentials.announce(time.time())
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_one_line_names_all_ways_with_their_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    issue(tmp_path, "me")
    issue(tmp_path, "you")
    Issuer().write(tmp_path / "jwks.json")
    write_mappings(tmp_path / "mappings.toml", {"identity": "cn:me"})
    settings = AuthSettings(
        jwt_issuer=ISSUER,
        jwt_audience="a",
        jwt_jwks_file=tmp_path / "jwks.json",
        certificates_file=tmp_path / "mappings.toml",
    )
    credentials = Credentials(Keyring(KeyFile(tmp_path), Demand.ALWAYS), settings)
    ways = f"API keys (2 good), tokens of {ISSUER} (its keys: 1), client certificates (mappings: 1)"
    assert announced(credentials, caplog) == [(logging.INFO, f"callers are known by {ways}")]


def test_where_nobody_is_let_in_the_log_warns_whatever_the_ways_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_mappings(tmp_path / "mappings.toml")
    for settings in (AuthSettings(), AuthSettings(certificates_file=tmp_path / "mappings.toml")):
        [(level, text)] = announced(Credentials(Keyring(KeyFile(tmp_path), Demand.ALWAYS), settings), caplog)
        assert level == logging.WARNING
        assert "API keys (0 good)" in text
        assert "nobody is let in" in text


async def test_it_is_said_again_only_when_it_has_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    credentials = Credentials(Keyring(KeyFile(tmp_path), Demand.ONCE_THERE_ARE_KEYS))
    assert announced(credentials, caplog) == [(logging.INFO, "callers need no API key")]
    assert announced(credentials, caplog) == []
    key, _ = issue(tmp_path, "first")
    assert await credentials.refresh()
    assert announced(credentials, caplog) == [(logging.INFO, "callers are known by API keys (1 good)")]
    issue(tmp_path, "second")
    revoke(tmp_path, key)
    assert await credentials.refresh()
    assert announced(credentials, caplog) == []
    issue(tmp_path, "third")
    assert await credentials.refresh()
    assert announced(credentials, caplog) == [(logging.INFO, "callers are known by API keys (2 good)")]


async def test_of_keys_whose_file_cannot_be_used_the_log_does_not_say_that_one_is_to_be_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issue(tmp_path, "me")
    credentials = Credentials(Keyring(KeyFile(tmp_path), Demand.ALWAYS))
    file = tmp_path / "keys.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    for _ in range(3):
        await credentials.refresh()
    [(level, text)] = announced(credentials, caplog)
    assert level == logging.WARNING
    assert "none, while their file cannot be used" in text
    assert "nobody is let in: mend the file of keys" in text
    file.write_bytes(whole)
    assert await credentials.refresh()
    assert announced(credentials, caplog) == [(logging.INFO, "callers are known by API keys (1 good)")]
