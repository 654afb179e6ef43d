"""`sgw session list --watch`."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from tests.cli.conftest import EXAMPLES, NOBODY_THERE, Sgw, command, eventually
from tests.cli.pseudo_terminal import PseudoTerminal

NewSession = Callable[[], str]


class Lines:
    """A listing that is watched, with its standard output as lines of JSON."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command("session", "list", "--watch", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def line(self) -> dict[str, Any]:
        """Return the next line."""
        assert self.process.stdout is not None
        document: dict[str, Any] = json.loads(self.process.stdout.readline())
        return document

    def until(self, event: str) -> list[dict[str, Any]]:
        """Return the lines up to the next one that tells of this."""
        lines = [self.line()]
        while lines[-1]["event"] != event:
            lines.append(self.line())
        return lines

    def interrupt(self) -> tuple[int, bytes, bytes]:
        """Press Ctrl-C; return the exit code and what else was written."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def watched(*arguments: str) -> Iterator[Lines]:
    lines = Lines(*arguments)
    try:
        yield lines
    finally:
        lines.process.kill()
        lines.process.communicate()


@pytest.fixture
def own_gateway(environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayProcess]:
    """A gateway that a test may stop, on a port that it keeps."""
    with GatewayProcess(tmp_path / "gateway", {"kv": EXAMPLES / "kv"}, drain="keep") as process:
        monkeypatch.setenv("SGW_ADDRESS", process.address)
        yield process


@contextmanager
def next_gateway(before: GatewayProcess) -> Iterator[None]:
    """Another one in the place of the first, which has stopped."""
    with GatewayProcess(before.data_dir, {"kv": EXAMPLES / "kv"}, ["--listen", before.address]):
        yield


def test_into_a_pipe_each_session_is_a_line_and_then_each_change(sgw: Sgw, new_session: NewSession) -> None:
    before = new_session()
    with watched("--app", "kv", "--limit", "1") as lines:
        *listed, watching = lines.until("watching")
        assert [(line["event"], line["session_id"]) for line in listed] == [("listed", before)]
        assert (watching["more"], "session_id" in watching) in [(True, False), (False, False)]
        after = new_session()
        sgw("session", "end", before)
        assert [(line["event"], line["session_id"], line["status"]) for line in (lines.line(), lines.line())] == [
            ("created", after, "active"),
            ("ended", before, "ended"),
        ]
        assert lines.interrupt() == (130, b"", b"")


def test_a_change_that_no_listing_of_that_status_has_is_left_out(sgw: Sgw, new_session: NewSession) -> None:
    with watched("--app", "kv", "--status", "ended", "--limit", "1") as lines:
        lines.until("watching")
        session_id = new_session()
        sgw("session", "end", session_id)
        line = lines.line()
        assert (line["event"], line["session_id"]) == ("ended", session_id)


def test_an_end_is_told_to_those_who_list_what_is_active(sgw: Sgw, new_session: NewSession) -> None:
    session_id = new_session()
    with watched("--app", "kv", "--status", "active") as lines:
        lines.until("watching")
        sgw("session", "end", session_id)
        line = lines.line()
        assert (line["event"], line["session_id"], line["status"]) == ("ended", session_id, "ended")


def test_a_gateway_that_is_restarted_is_found_again_and_both_are_told(
    own_gateway: GatewayProcess, sgw: Sgw, new_session: NewSession
) -> None:
    session_id = new_session()
    with watched() as lines:
        lines.until("watching")
        own_gateway.stop()
        interrupted = lines.line()
        assert interrupted["event"] == "interrupted"
        assert interrupted["error"]["code"] in ("GATEWAY_DRAINING", "UNAVAILABLE")
        with next_gateway(own_gateway):
            lines.until("watching")
            sgw("session", "end", session_id)
            assert lines.until("ended")[-1]["session_id"] == session_id


def test_a_gateway_that_is_not_there_is_an_error(sgw: Sgw) -> None:
    assert sgw("session", "list", "--watch", "--address", NOBODY_THERE).code == 5


def test_on_a_terminal_the_list_is_drawn_again_in_place(
    sgw: Sgw, new_session: NewSession, terminal: Callable[..., PseudoTerminal]
) -> None:
    screen = terminal("session", "list", "--watch", "--status", "active", "--app", "kv")
    eventually(lambda: "Ctrl-C" in screen.text)
    session_id = new_session()
    eventually(lambda: f"created      {session_id}" in screen.text)
    first, *_ = [line for line in screen.text.splitlines() if line.startswith(session_id)]
    assert first.split()[2] == "active"
    assert first.split()[-1] == "1"
    sgw("app", "run", "kv", "--session", session_id)
    eventually(lambda: any(line.startswith(session_id) and line.endswith(" 2") for line in screen.text.splitlines()))
    sgw("session", "end", session_id)
    eventually(lambda: not any(line.startswith(session_id) for line in screen.text.splitlines()))
    assert "ended" in screen.text.splitlines()[-1]
    assert screen.text.count("session  ") == 1
    screen.interrupt()
    assert screen.wait() == 130


def test_on_a_terminal_a_lost_gateway_is_told_until_it_is_back(
    own_gateway: GatewayProcess, sgw: Sgw, new_session: NewSession, terminal: Callable[..., PseudoTerminal]
) -> None:
    session_id = new_session()
    screen = terminal("session", "list", "--watch")
    eventually(lambda: session_id in screen.text)
    own_gateway.stop()
    eventually(lambda: "the gateway is lost" in screen.text)
    assert session_id in screen.text
    with next_gateway(own_gateway):
        sgw("session", "end", session_id)
        # In the place where it was told that the gateway is lost.
        eventually(lambda: f"ended        {session_id}" in screen.text)
        screen.interrupt()
        assert screen.wait() == 130


def test_a_terminal_that_cannot_go_back_gets_lines(
    new_session: NewSession, terminal: Callable[..., PseudoTerminal]
) -> None:
    session_id = new_session()
    screen = terminal("session", "list", "--watch", TERM="dumb")
    eventually(lambda: "watching; Ctrl-C ends it" in screen.text)
    assert session_id in screen.text
    assert b"\x1b" not in screen.raw
    screen.interrupt()
    assert screen.wait() == 130
