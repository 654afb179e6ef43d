"""Where callers need a key, and where they will."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config import ConfigError, Settings, load
from gateway.reachable import objection
from gateway.rpc.exposure import credentials_of
from tests.auth.issuing import issue
from tests.auth.showing import Issuer, write_mappings

LOOPBACK: dict[str, Any] = {"listen": "127.0.0.1:1"}
REACHABLE: dict[str, Any] = {"listen": "192.0.2.1:1", "tls_cert": "c", "tls_key": "k"}
NOT_AT_ALL, NOT_YET, NOW = "not at all", "not yet", "now"


def need(data_dir: Path, server: dict[str, Any], **auth: Any) -> str:
    settings = Settings.model_validate({"data_dir": data_dir, "server": server, "auth": auth})
    assert objection(settings.server) is None
    credentials = credentials_of(settings)
    if credentials is None:
        return NOT_AT_ALL
    return NOW if credentials.required else NOT_YET


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


KNOWN_BY_CERTIFICATE = LOOPBACK | {"tls_cert": "c", "tls_key": "k", "client_ca": "a"}


def test_where_certificates_or_tokens_say_who_calls_everybody_is_asked(tmp_path: Path) -> None:
    write_mappings(tmp_path / "mappings.toml", {"identity": "cn:me"})
    Issuer().write(tmp_path / "jwks.json")
    tokens = {"jwt_issuer": "i", "jwt_audience": "a", "jwt_jwks_file": tmp_path / "jwks.json"}
    assert need(tmp_path, KNOWN_BY_CERTIFICATE) == NOT_YET
    assert need(tmp_path, KNOWN_BY_CERTIFICATE, certificates_file=tmp_path / "mappings.toml") == NOW
    assert need(tmp_path, LOOPBACK, **tokens) == NOW


FILES = {"jwt_jwks_file": "f", "jwt_audience": "a", "jwt_issuer": "i"}


@pytest.mark.parametrize(
    ("server", "auth", "text"),
    [
        ({}, {"certificates_file": "f"}, "auth.certificates_file: certificates_file is given without server.client_ca"),
        (KNOWN_BY_CERTIFICATE | {"auth": "open"}, {"certificates_file": "f"}, 'is given, and server.auth is "open"'),
        ({"auth": "open"}, FILES, 'jwt_issuer is given, and server.auth is "open"'),
        ({}, {"jwt_issuer": "i"}, "jwt_issuer is given without jwt_audience and jwt_jwks_file"),
        ({}, {"jwt_jwks_file": "f"}, "jwt_jwks_file is given without jwt_issuer and jwt_audience"),
        ({}, FILES | {"jwt_issuer": "a b"}, "without spaces"),
        ({}, FILES | {"jwt_algorithms": "none"}, "must be some of RS256"),
        ({}, FILES | {"jwt_algorithms": "RS256, HS256"}, 'not "HS256"'),
        ({}, FILES | {"jwt_algorithms": ""}, "must be some of RS256"),
    ],
)
def test_settings_that_do_not_go_together_are_told_by_their_names(
    server: dict[str, Any], auth: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"server": server, "auth": auth})
    assert text in str(caught.value)


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
