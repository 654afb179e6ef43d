"""What whoever runs a gateway, or writes an app, puts into files and on the command line."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import click
from hypothesis import strategies as st

from gateway.apps.manifest import AppDirectoryError, read_manifest
from gateway.cli.problems import CommandFailed
from gateway.cli.root import sgw
from gateway.config import ConfigError, load, setting_paths
from tools.fuzz.engine import Target, no_leak
from tools.fuzz.inputs import mutated

_NUMBERS = ["1", "0", "-1", "1.5", "1e400", "nan", "true", "2020-01-01", "9" * 5000]
_TEXTS = ['"x"', '""', '"127.0.0.1:0"', '"kv@1"', "'''\n'''", '"' + "x" * 3000 + '"', '"\\u0000"']
_TREES = ["[]", "{}", "[[1]]", "{a = 1}", "[" * 2000]
_VALUES = st.sampled_from([*_NUMBERS, *_TEXTS, *_TREES])

_MANIFEST = [
    *("default_function", "interpreter", "start_method", "concurrency", "min_idle", "version"),
    *(f"limits.{name}" for name in ("memory", "open_files", "processes", "disk", "call", "max_lifetime", "nonsense")),
]


def targets(directory: Path) -> list[Target]:
    """Return one each for the configuration, app.toml and the command line."""
    app = directory / "an-app"
    app.mkdir()
    (app / "app.py").touch()
    config = directory / "config.toml"

    def configuration(data: bytes) -> None:
        config.write_bytes(data)
        try:
            load({}, config)
        except ConfigError as error:
            no_leak(str(error))

    def manifest(data: bytes) -> None:
        (app / "app.toml").write_bytes(data)
        try:
            read_manifest(app)
        except AppDirectoryError as error:
            no_leak(str(error))

    return [
        Target("configuration", mutated(_toml(setting_paths())), configuration),
        Target("app_toml", mutated(_toml(_MANIFEST)), manifest),
        Target("command_line", _arguments(), _parse),
    ]


def _toml(paths: Sequence[str]) -> st.SearchStrategy[bytes]:
    line = st.builds("{} = {}".format, st.sampled_from([*paths, "x", "a.b.c.d", '"server".listen']), _VALUES)
    heads = st.sampled_from(["[server]", "[[server]]", "[workers]", "[limits]", "[x.y]", "# x", ""])
    return st.lists(line | heads, max_size=6).map(lambda lines: "\n".join(lines).encode())


def _leaves(group: click.Command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    if not isinstance(group, click.Group):
        return {path: group}
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            found |= _leaves(command, (*path, name))
    return found


_COMMANDS = _leaves(sgw)
_WORDS = [
    *("", "--", "@", "@/nowhere", "=", "a=b", "kv", "kv=", "kv@1=/x", "sess_x", "new", "-1", "nan", "30d"),
    *("127.0.0.1:1", "http://x", "\udcff", "ü", "x" * 500),
    *("{}", '{"a":', "[1]", "1e999", '{"a": ' + "9" * 5000 + "}", "[" * 5000),
]


@st.composite
def _arguments(draw: st.DrawFn) -> tuple[tuple[str, ...], list[str]]:
    """Draw a command and arguments for it."""
    path = draw(st.sampled_from(sorted(_COMMANDS)))
    options = [name for parameter in _COMMANDS[path].params for name in parameter.opts if name.startswith("-")]
    # Standard input would be waited for, and no argument that a process is started with has a NUL in it.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
    word = st.sampled_from(_WORDS) | text.filter(lambda text: text not in ("-", "@-"))
    pieces = st.lists(st.sampled_from(options or ["-h"]) | word | word, max_size=6)
    return path, draw(pieces)


def _parse(asked: tuple[tuple[str, ...], list[str]]) -> None:
    path, arguments = asked
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        try:
            _COMMANDS[path].make_context(" ".join(path), list(arguments))
        except click.exceptions.Exit:
            pass
        except click.ClickException as error:
            no_leak(error.format_message())
        except CommandFailed as error:
            no_leak(str(error))
