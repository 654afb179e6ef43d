"""`sgw session watch`."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.cli.conftest import NOBODY_THERE, Sgw, command, eventually
from tests.cli.pseudo_terminal import PseudoTerminal

NewSession = Callable[[], str]


class Watching:
    """A watch that runs, with its standard output as lines of JSON."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command("session", "watch", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def line(self) -> dict[str, Any]:
        """Return the next line."""
        assert self.process.stdout is not None
        document: dict[str, Any] = json.loads(self.process.stdout.readline())
        return document

    def interrupt(self) -> tuple[int, bytes, bytes]:
        """Press Ctrl-C; return the exit code and what else was written."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def watching(*arguments: str) -> Iterator[Watching]:
    watch = Watching(*arguments)
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.communicate()


def test_each_event_is_a_line_with_the_session_and_ctrl_c_ends_it_without_a_word(
    sgw: Sgw, new_session: NewSession
) -> None:
    with watching("--app", "kv") as watch:
        first = watch.line()
        assert (first["event"], "session_id" in first) == ("watching", False)
        session_id = new_session()
        sgw("session", "end", session_id)
        created, ended = watch.line(), watch.line()
        assert (created["event"], created["session_id"], created["status"]) == ("created", session_id, "active")
        assert (ended["event"], ended["session_id"], ended["end_reason"]) == ("ended", session_id, "caller")
        assert ended["occurred_at"] == ended["ended_at"]
        assert watch.interrupt() == (130, b"", b"")


def test_a_watch_begins_behind_the_line_whose_token_it_is_given(sgw: Sgw, new_session: NewSession) -> None:
    with watching() as watch:
        token = watch.line()["resume_token"]
    session_id = new_session()
    sgw("session", "end", session_id)
    with watching("--resume-token", token) as again:
        assert again.line()["resume_token"] == token
        lines = [again.line() for _ in range(2)]
    assert [(line["event"], line["session_id"]) for line in lines] == [("created", session_id), ("ended", session_id)]


def test_a_token_that_is_none_is_an_error(sgw: Sgw) -> None:
    result = sgw("session", "watch", "--resume-token", "nonsense")
    assert result.code == 2
    assert "resume_token" in result.err


def test_a_gateway_that_is_not_there_is_an_error(sgw: Sgw) -> None:
    assert sgw("session", "watch", "--address", NOBODY_THERE).code == 5


def test_on_a_terminal_each_event_is_one_line_for_people(
    sgw: Sgw, new_session: NewSession, terminal: Callable[..., PseudoTerminal]
) -> None:
    watch = terminal("session", "watch", NO_COLOR="1")
    eventually(lambda: "watching" in watch.text)
    session_id = new_session()
    sgw("session", "end", session_id)
    eventually(lambda: "caller" in watch.text)
    created, ended = [line for line in watch.text.splitlines() if session_id in line]
    assert re.match(rf"\d\d:\d\d:\d\d  created      {session_id}  kv@\w+$", created.rstrip())
    assert re.match(rf"\d\d:\d\d:\d\d  ended        {session_id}  kv@\w+  caller$", ended.rstrip())
    watch.interrupt()
    assert watch.wait() == 130
