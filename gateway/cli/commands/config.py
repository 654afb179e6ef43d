"""`sgw config show` and `sgw config check`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.commands.serve import flag_names, serve, settings_tree
from gateway.cli.connection import json_option
from gateway.cli.lazy import examples
from gateway.cli.output import Output
from gateway.cli.settings import refusal
from gateway.config import Loaded, read, values
from gateway.reachable import objection

if TYPE_CHECKING:
    from gateway.cli.terminal import Terminal


@click.command(
    "show",
    params=list(serve.params),
    epilog=examples(
        "sgw config show --config gateway.toml",
        "sgw config show --max-workers 8 --json | jq -r '.settings[] | select(.origin != \"default\") | .setting'",
    ),
)
@json_option
def show(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Show every setting with its value and where that comes from. Takes the flags of `sgw serve`.

    The origin is `default`, `file` with path and line, `environment` with the variable, or `flag`. Secrets are shown
    as `***`.
    """
    loaded = read(settings_tree(flags), config, flag_names())
    if loaded.problems:
        raise refusal(loaded.problems)
    settings = [
        {"setting": each.path, "value": each.shown, "origin": each.origin.kind, "where": each.origin.name or None}
        for each in values(loaded)
    ]
    Output(as_json=as_json).show({"settings": settings}, lambda terminal: _draw(terminal, settings))


@click.command(
    "check",
    params=list(serve.params),
    epilog=examples("sgw config check --config gateway.toml", "sgw config check && systemctl restart session-gateway"),
)
@json_option
def check(config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Tell all that is wrong with the settings, with exit code 2; nothing when they can be used.

    Takes the flags of `sgw serve`. It connects to nothing and listens nowhere: whether files, addresses and apps that
    they name are there is for `sgw doctor`.
    """
    del as_json  # errors follow it
    loaded = read(settings_tree(flags), config, flag_names())
    problems = loaded.problems or list(_of_the_address(loaded))
    if problems:
        raise refusal(problems)


def _of_the_address(loaded: Loaded) -> Iterator[str]:
    """Yield why `sgw serve` would not listen there, whatever the machine is."""
    why = objection(loaded.settings.server)
    if why is not None:
        key = ("server", "listen")
        yield loaded.given[key].origin.problem(key, why)


def _draw(terminal: "Terminal", settings: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (each["setting"], _text(each["value"]), f"{each['origin']} {each['where'] or ''}".rstrip()) for each in settings
    ]
    terminal.table(("SETTING", "VALUE", "ORIGIN"), rows)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None or value in ("", {}) else str(value)
