"""Help, completion, and what is loaded for them."""

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gateway.cli.exits import MEANINGS
from gateway.cli.root import sgw as root
from tests.cli.conftest import NOBODY_THERE, ROOT, Sgw, completed

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_help_with_examples_of_itself(sgw: Sgw, words: tuple[str, ...]) -> None:
    text = sgw(*words, "--help").out.decode()
    _, _, examples = text.partition("Examples:\n")
    assert f"sgw {' '.join(words)}" in examples


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_is_in_the_manual(words: tuple[str, ...]) -> None:
    assert f"`sgw {' '.join(words)}" in PAGE or f"sgw {' '.join(words)}" in PAGE


@pytest.mark.parametrize(("code", "meaning"), MEANINGS.items())
def test_exit_codes_are_in_help_and_manual(sgw: Sgw, code: int, meaning: str) -> None:
    assert f"{code:>3}  {meaning}" in sgw("--help").out.decode()
    assert f"| {code:d} | {meaning} |" in PAGE


def test_the_list_of_commands_is_made_without_loading_them() -> None:
    program = (
        "import sys; from gateway.cli.root import run; run(['--help']); run(['app', '--help']); "
        "loaded = {'grpc', 'google', 'rich', 'pydantic', 'prometheus_client', 'gateway.cli.top', 'gateway.main'}; "
        "loaded &= set(sys.modules); "
        "sys.exit(' '.join(loaded) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=20)
    assert result.stderr == b""
    assert result.returncode == 0


def test_the_version_is_told(sgw: Sgw) -> None:
    assert sgw("--version").out.startswith(b"sgw 0.")


@pytest.mark.parametrize("arguments", [["nonsense"], ["app", "nonsense"], ["app", "run"], ["app", "run", "a", "--no"]])
def test_a_wrong_command_line_is_told_with_its_own_exit_code(sgw: Sgw, arguments: list[str]) -> None:
    result = sgw(*arguments)
    assert result.code == 2
    assert result.out == b""
    assert "Usage: sgw" in result.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_calls_sgw(sgw: Sgw, shell: str) -> None:
    result = sgw("completion", shell)
    assert result.code == 0
    assert f"_SGW_COMPLETE={shell}_complete" in result.out.decode()


def suggestions(*words: str, **variables: str) -> list[str]:
    """Return what bash would offer for the last of the words."""
    asked = {"_SGW_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    result = completed(env={**os.environ, **asked, **variables})
    assert result.stderr == b""
    return [line.partition(",")[2] for line in result.stdout.decode().split()]


def test_commands_apps_versions_and_sessions_are_completed(sgw: Sgw, environment: None) -> None:
    started = sgw("app", "run", "kv", "--session", "new").json
    assert suggestions("sgw", "s") == ["serve", "session"]
    assert suggestions("sgw", "app", "run", "k") == ["kv"]
    version = started["session"]["version"]
    assert suggestions("sgw", "app", "run", f"kv@{version[:3]}") == [f"kv@{version}"]
    assert started["session_id"] in suggestions("sgw", "session", "get", "sess")
    assert "new" in suggestions("sgw", "app", "run", "kv", "--session", "n")


def test_without_a_gateway_completion_is_silent(environment: None) -> None:
    assert suggestions("sgw", "app", "run", "k", SGW_ADDRESS=NOBODY_THERE) == []
