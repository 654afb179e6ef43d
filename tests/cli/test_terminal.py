"""What a person at a terminal sees."""

import re
from collections.abc import Callable

from tests.cli.conftest import Sgw, eventually
from tests.cli.pseudo_terminal import PseudoTerminal

Terminal = Callable[..., PseudoTerminal]


def test_an_output_is_readable_json_with_the_session_below(terminal: Terminal) -> None:
    screen = terminal("app", "run", "kv", "--session", "new", "--input", '{"n": 12345678901234567890, "s": "żółw"}')
    assert screen.wait() == 0
    assert '    "n": 12345678901234567890,\n    "s": "żółw"' in screen.text
    assert screen.text.splitlines()[-1].startswith("sess_")
    assert "active  1 call, 60 s left" in screen.text
    assert re.search(rb"\x1b\[(\d+;)*[39][0-7](;\d+)*m", screen.raw)


def test_without_colours_the_text_is_the_same(terminal: Terminal) -> None:
    screen = terminal("app", "run", "kv", "--session", "new", NO_COLOR="1")
    assert screen.wait() == 0
    assert '"calls": 1' in screen.text
    assert not re.search(rb"\x1b\[(\d+;)*[39][0-7](;\d+)*m", screen.raw)


def test_with_json_a_terminal_gets_the_document(terminal: Terminal) -> None:
    screen = terminal("app", "run", "kv", "--json")
    assert screen.wait() == 0
    assert '"session_id": ""' in screen.text
    assert b"\x1b" not in screen.raw


def test_text_of_an_app_cannot_steer_the_terminal(terminal: Terminal) -> None:
    screen = terminal("app", "run", "kv", "--session", "new", "--input", '{"a": "\x9b31m\\u009b2J[red]b[/red]"}')
    assert screen.wait() == 0
    assert "[red]b[/red]" in screen.text
    assert b"\xc2\x9b" not in screen.raw
    failed = terminal("app", "run", "faulty", "--function", "boom")
    assert failed.wait() == 4
    assert "no \\x1b[31mred" in failed.text


def test_sessions_are_a_table_with_whole_ids(terminal: Terminal, sgw: Sgw, new_session: Callable[[], str]) -> None:
    active, ended = new_session(), new_session()
    sgw("session", "end", ended)
    screen = terminal("session", "list", "--limit", "2")
    assert screen.wait() == 0
    heading, _, first, second, more = screen.text.splitlines()
    assert heading.split() == ["session", "app", "status", "left", "or", "reason", "calls"]
    assert first.startswith(ended)
    assert first.split()[2:] == ["ended", "caller", "1"]
    assert second.startswith(active)
    assert "active" in second
    assert "--all" in more


def test_one_session_is_shown_field_by_field(terminal: Terminal, new_session: Callable[[], str]) -> None:
    screen = terminal("session", "get", new_session())
    assert screen.wait() == 0
    labels = {line.split("  ")[0] for line in screen.text.splitlines()}
    assert {"session", "app", "status", "expires", "timeout", "calls", "last call", "created", "worker"} == labels


def test_an_app_is_shown_with_what_its_functions_take(terminal: Terminal) -> None:
    screen = terminal("app", "show", "kv")
    assert screen.wait() == 0
    assert "run  (default)" in screen.text
    text = " ".join(screen.text.split())
    assert "limit? integer How many keys to return at most. Default: 1000." in text
    assert "value any Any JSON value, null included." in text


def test_nothing_there_is_said_in_words(terminal: Terminal) -> None:
    screen = terminal("session", "list", "--app", "nothing")
    screen.wait()
    assert screen.text == "no sessions"


def test_a_spinner_turns_while_a_call_runs_and_leaves_no_trace(terminal: Terminal) -> None:
    screen = terminal("app", "run", "faulty", "--function", "linger")
    eventually(lambda: "calling faulty …" in screen.text)
    screen.interrupt()
    assert screen.wait() == 130
    assert "calling faulty" not in screen.text
    assert "INTERRUPTED" in screen.text


def test_a_dumb_terminal_gets_no_spinner_and_no_colours(terminal: Terminal) -> None:
    screen = terminal("app", "run", "faulty", "--function", "linger", "--timeout", "1", TERM="dumb")
    assert screen.wait() == 5
    assert b"calling" not in screen.raw


def test_an_error_has_its_code_in_bold(terminal: Terminal) -> None:
    screen = terminal("app", "run", "nothing")
    assert screen.wait() == 3
    assert "error: APP_NOT_FOUND" in screen.text
    assert b"\x1b[1mAPP_NOT_FOUND" in screen.raw


def test_renewals_are_told_line_by_line(terminal: Terminal, sgw: Sgw, new_session: Callable[[], str]) -> None:
    session_id = new_session()
    screen = terminal("session", "keepalive", "--follow", session_id)
    eventually(lambda: "renewed" in screen.text)
    assert f"{session_id}  renewed, 60 s left" in screen.text
    sgw("session", "end", session_id)
    assert screen.wait() == 3
    assert "lost: " in screen.text
