"""The service config that is published is the one that the clients use, and it repeats nothing that may have run."""

import json
import re
from typing import Any

import pytest

from sessiongateway import _transport
from sessiongateway.v1 import apps_pb2, sessions_pb2
from tools.paths import ROOT

CLIENTS = ROOT / "clients"
PUBLISHED: dict[str, Any] = json.loads((CLIENTS / "service_config.json").read_text())

REPEATABLE = {"GetSession", "ListSessions", "Keepalive", "EndSession", "ListApps", "GetApp"}
"""What leaves everything as it is, or as it would be after one of them."""


def test_it_repeats_what_is_safe_to_repeat_and_nothing_else() -> None:
    services = {
        service.full_name: service
        for module in (sessions_pb2, apps_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    named = set()
    for name in PUBLISHED["methodConfig"][0]["name"]:
        methods = services[name["service"]].methods_by_name
        assert "method" not in name or name["method"] in methods
        named |= {name["method"]} if "method" in name else set(methods)
    assert named == REPEATABLE
    assert len(PUBLISHED["methodConfig"]) == 1
    assert PUBLISHED["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_the_python_client_uses_it() -> None:
    assert _transport._SERVICE_CONFIG == PUBLISHED


@pytest.mark.parametrize(
    ("path", "literal"), [("go/dial.go", r"serviceConfig = `(.*?)`"), ("cpp/src/channel.cc", r'R"\((.*?)\)"')]
)
def test_clients_that_have_it_as_text_have_the_same(path: str, literal: str) -> None:
    found = re.search(literal, (CLIENTS / path).read_text(), re.DOTALL)
    assert found is not None
    assert json.loads(found[1]) == PUBLISHED


@pytest.mark.parametrize(
    "path",
    [
        "ruby/lib/sessiongateway/channel_settings.rb",
        "java/client/src/main/java/com/sessiongateway/client/Channels.java",
    ],
)
def test_clients_that_make_it_themselves_have_its_values(path: str) -> None:
    text = (CLIENTS / path).read_text()
    config = PUBLISHED["methodConfig"][0]
    for name in config["name"]:
        assert name.get("method", name["service"]) in text
    for key, value in (config["retryPolicy"] | {"timeout": config["timeout"]}).items():
        written = json.dumps(value[0] if isinstance(value, list) else value)
        assert re.search(rf'"?{key}"?[:,]\s*(List\.of\()?\[?{re.escape(written)}', text), key
