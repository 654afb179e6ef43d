"""Where callers need a key, and where they will."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Settings
from gateway.rpc.exposure import keyring_of, objection
from tests.auth.issuing import issue

LOOPBACK: dict[str, Any] = {"listen": "127.0.0.1:1"}
REACHABLE: dict[str, Any] = {"listen": "192.0.2.1:1", "tls_cert": "c", "tls_key": "k"}
NOT_AT_ALL, NOT_YET, NOW = "not at all", "not yet", "now"


def need(data_dir: Path, server: dict[str, Any]) -> str:
    settings = Settings.model_validate({"data_dir": data_dir, "server": server})
    assert objection(settings.server) is None
    keyring = keyring_of(settings)
    if keyring is None:
        return NOT_AT_ALL
    return NOW if keyring.required else NOT_YET


@pytest.mark.parametrize(
    ("server", "without_keys", "with_keys"),
    [
        (LOOPBACK, NOT_YET, NOW),
        (LOOPBACK | {"auth": "keys"}, NOW, NOW),
        (LOOPBACK | {"auth": "open"}, NOT_AT_ALL, NOT_AT_ALL),
        (REACHABLE, NOW, NOW),
        (REACHABLE | {"auth": "keys"}, NOW, NOW),
        (REACHABLE | {"client_ca": "a"}, NOT_YET, NOW),
        (REACHABLE | {"client_ca": "a", "auth": "open"}, NOT_AT_ALL, NOT_AT_ALL),
        (REACHABLE | {"client_ca": "a", "auth": "keys"}, NOW, NOW),
        ({"listen": "192.0.2.1:1", "insecure": True}, NOT_YET, NOW),
        ({"listen": "192.0.2.1:1", "insecure": True, "auth": "open"}, NOT_AT_ALL, NOT_AT_ALL),
    ],
)
def test_settings_and_keys_decide_who_is_asked_for_one(
    tmp_path: Path, server: dict[str, Any], without_keys: str, with_keys: str
) -> None:
    assert need(tmp_path, server) == without_keys
    issue(tmp_path, "me")
    assert need(tmp_path, server) == with_keys


@pytest.mark.parametrize(
    "server",
    [
        {"listen": "192.0.2.1:1"},
        {"listen": "192.0.2.1:1", "auth": "keys"},
        REACHABLE | {"auth": "open"},
    ],
)
def test_what_others_can_reach_is_encrypted_and_asks_who_calls_or_is_refused(server: dict[str, Any]) -> None:
    settings = Settings.model_validate({"server": server})
    told = objection(settings.server)
    assert told is not None
    assert "--insecure" in told
