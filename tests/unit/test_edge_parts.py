"""Small parts of the edge and of the process: who calls, until when, what is logged, which variables are set."""

import json
import logging
import os
import sys
from typing import Any

import pytest

from gateway import process_environment
from gateway.clock import Instant
from gateway.config import LogSettings
from gateway.errors import Unauthenticated
from gateway.log import JsonFormatter, TextFormatter, configure
from gateway.reachable import is_loopback
from gateway.rpc.callers import ANONYMOUS, Callers
from gateway.sessions.requests import Caller
from gateway.testing.clock import FakeClock
from gateway.timing import DEADLINE_MARGIN


class Context:
    """Stands for an RPC's context."""

    def __init__(self, *authorization: str | bytes, remaining: float | None = None) -> None:
        self._metadata = tuple(("authorization", value) for value in authorization)
        self._remaining = remaining

    def invocation_metadata(self) -> Any:
        return (("user-agent", "test"), *self._metadata)

    def time_remaining(self) -> float | None:
        return self._remaining


def caller(*authorization: str | bytes, remaining: float | None = None) -> Caller:
    context: Any = Context(*authorization, remaining=remaining)
    return Callers(FakeClock()).of(context, "Run")


def test_one_without_a_key_is_anonymous() -> None:
    assert caller().principal == ANONYMOUS


def test_a_key_is_one_caller_however_its_scheme_is_written() -> None:
    principals = {caller(text).principal for text in ("Bearer k1", "bearer k1", "BEARER  k1 ")}
    assert len(principals) == 1
    assert caller("Bearer k2").principal not in principals | {ANONYMOUS}


def test_nothing_of_a_key_can_be_read_from_its_principal() -> None:
    assert "hunter2" not in caller("Bearer hunter2").principal


def test_no_key_can_pass_for_the_anonymous_caller() -> None:
    assert caller(f"Bearer {ANONYMOUS}").principal != ANONYMOUS


@pytest.mark.parametrize("values", [("Bearer ",), ("Bearer",), ("Basic x",), ("",), ("Bearer a", "Bearer b"), (b"x",)])
def test_credentials_that_cannot_be_read_are_refused(values: tuple[str | bytes, ...]) -> None:
    with pytest.raises(Unauthenticated):
        caller(*values)


@pytest.mark.parametrize(("sent", "arrived"), [(0.3, 0.301), (1.5, 1.509), (20, 20.1), (300, 301), (3600, 3610)])
def test_a_deadline_that_grpc_rounded_up_on_the_way_is_not_believed(sent: float, arrived: float) -> None:
    deadline = caller(remaining=arrived).deadline
    assert deadline is not None
    assert sent * 0.98 < deadline - FakeClock().now().monotonic <= sent


def test_patience_ends_before_the_callers_deadline_and_is_never_negative() -> None:
    now = Instant(1000.0, 0.0)
    assert Caller("x").patience(now, 30) == 30
    assert Caller("x", 1010.0).patience(now, 30) == pytest.approx(10 - DEADLINE_MARGIN)
    assert Caller("x", 1100.0).patience(now, 30) == 30
    assert Caller("x", 1000.0).patience(now, 30) == 0
    assert Caller("x", 900.0).patience(now, 30) == 0


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_only_this_machines_own_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def record(text: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway.x", logging.WARNING, "f.py", 1, text, ("arg",), None)
    made.created = 1_700_000_000.123
    made.__dict__.update(extra)
    return made


def failed() -> logging.LogRecord:
    try:
        raise ValueError("inside")
    except ValueError:
        made = record("it %s")
        made.exc_info = sys.exc_info()
        return made


def test_text_is_one_line_with_labels() -> None:
    line = TextFormatter().format(record("it %s", session_id="sess_1", app="", call_id="call_2"))
    assert line == "2023-11-14T22:13:20.123+00:00 WARNING gateway.x it arg session_id=sess_1 call_id=call_2"


def test_no_text_of_an_app_looks_like_an_entry_of_its_own() -> None:
    line = TextFormatter().format(record("a\n2026 ERROR\r\x00\x1b[31m\tb %s"))
    assert line.endswith("a\\n2026 ERROR\\r\\x00\\x1b[31m\tb arg")


def test_text_ends_with_the_traceback() -> None:
    assert TextFormatter().format(failed()).endswith("ValueError: inside")


def test_json_is_one_object_on_one_line() -> None:
    line = JsonFormatter().format(record("ä\n%s", session_id="sess_1"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123+00:00",
        "level": "warning",
        "logger": "gateway.x",
        "message": "ä\narg",
        "session_id": "sess_1",
    }
    assert "ValueError: inside" in json.loads(JsonFormatter().format(failed()))["exception"]


@pytest.mark.parametrize(("format", "formatter"), [("text", TextFormatter), ("json", JsonFormatter)])
def test_the_log_is_set_up_as_the_settings_say(format: Any, formatter: type[logging.Formatter]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # `configure` would close those of the test run
    try:
        configure(LogSettings(level="warning", format=format))
        (handler,) = root.handlers
        assert isinstance(handler.formatter, formatter)
        assert root.level == logging.WARNING
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_variables_that_the_user_has_set_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in process_environment.VARIABLES:
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "1")
    process_environment.apply()
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "1"
    assert os.environ["GRPC_EXPERIMENTS"] == process_environment.VARIABLES["GRPC_EXPERIMENTS"]
