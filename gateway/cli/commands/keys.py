"""`sgw key create`, `sgw key list` and `sgw key revoke`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.auth.keyfile import KeyFile, KeysUnusable, without_old
from gateway.auth.keys import Key, Scope, new_key
from gateway.cli.connection import json_option
from gateway.cli.expiry import Expiry
from gateway.cli.lazy import examples
from gateway.cli.output import Output
from gateway.cli.problems import CommandFailed, Problem
from gateway.cli.settings import load_settings
from gateway.cli.text import visible

if TYPE_CHECKING:
    from gateway.cli.terminal import Terminal

_LOOKS_LIKE_A_KEY = re.compile(r"sgw_[a-z2-7]+_")


def _with_file(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where the keys are."""
    for option in (
        json_option,
        click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The gateway's, if it has one."),
        click.option("--data-dir", metavar="DIR", envvar="SGW_DATA_DIR", show_envvar=True, help="That of the gateway."),
    ):
        command = option(command)
    return command


@click.command(
    "create",
    epilog=examples(
        "sgw key create ci --expires 30d",
        "sgw key create dashboard --scope read --data-dir /var/lib/session-gateway",
        "export SGW_API_KEY=$(sgw key create me --json | jq -r .key)",
    ),
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=(Scope.EXECUTE.value,),
    show_default=True,
    help="read: look at apps and own sessions. execute: run, too. admin: see and end the sessions of all. Repeatable.",
)
@click.option("--expires", "expires_at", type=Expiry(), help="When it stops being good. Left out: never.")
@_with_file
def create(
    name: str,
    *,
    scopes: Sequence[str],
    expires_at: datetime | None,
    data_dir: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make a key called NAME, and show it: this once, for only a hash of it is kept.

    A running gateway knows it within a second. With the first key, a gateway that anybody on this machine could call
    begins to ask for keys, unless `server.auth` says otherwise.
    """
    now = datetime.now(UTC)
    try:
        key, shown = new_key(name, map(Scope, scopes), now, expires_at)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    with _file(data_dir, config) as file:
        directory = file.path.parent
        made = not directory.exists()
        with file.changing() as keys:
            _add(keys, key, now)
    document = {"key": shown, **_document(key, now)}
    Output(as_json=as_json).show(document, lambda terminal: _draw_new(terminal, document))
    if made:
        click.echo(f"made the data directory {visible(str(directory))}: no gateway has used it yet", err=True)


def _add(keys: dict[str, Key], key: Key, now: datetime) -> None:
    """Add a key, and leave out those that have long been good no more. Raises CommandFailed: the name is taken."""
    if any(each.name == key.name and each.revoked_at is None for each in keys.values()):
        raise CommandFailed(Problem("KEY_NAME_TAKEN", f"there is a key called {key.name}"))
    kept = without_old(keys, now)
    keys.clear()
    keys |= {**kept, key.id: key}


@click.command("list", epilog=examples("sgw key list", "sgw key list --json | jq -r '.keys[].name'"))
@_with_file
def list_keys(*, data_dir: str | None, config: Path | None, as_json: bool) -> None:
    """List the keys, the newest first, with those that have expired or were revoked in the last 30 days."""
    now = datetime.now(UTC)
    with _file(data_dir, config) as file:
        keys = file.read() if file.exists() else {}
        directory = file.path.parent
        missing = not directory.exists()
    if missing:
        click.echo(f"there is no data directory {visible(str(directory))}: no gateway has used it yet", err=True)
    newest_first = sorted(without_old(keys, now).values(), key=lambda key: key.created_at, reverse=True)
    listed = [_document(key, now) for key in newest_first]
    Output(as_json=as_json).show({"keys": listed}, lambda terminal: terminal.key_table(listed))


@click.command("revoke", epilog=examples("sgw key revoke ci", "sgw key revoke key_5ydz3vq6bhjnc"))
@click.argument("keys", metavar="ID|NAME...", nargs=-1, required=True)
@_with_file
def revoke(keys: Sequence[str], *, data_dir: str | None, config: Path | None, as_json: bool) -> None:
    """Have keys let nobody in any more: all of those that are named, or none if one of them is not there.

    A running gateway refuses them within a second, and ends their open streams. Their sessions live on until their
    timeouts; a key with the scope admin can end them.
    """
    now = datetime.now(UTC)
    revoked = []
    with _file(data_dir, config) as file, _kept(file) as kept:
        for asked in keys:
            key = _named(kept, asked)
            kept[key.id] = key.model_copy(update={"revoked_at": key.revoked_at or now})
            revoked.append(_document(kept[key.id], now))
    Output(as_json=as_json).show({"keys": revoked}, lambda terminal: terminal.key_table(revoked))


def _kept(file: KeyFile) -> AbstractContextManager[dict[str, Key]]:
    """Return the keys that are to be changed. Where there are none, nothing is made to change."""
    return file.changing() if file.exists() else nullcontext({})


def _named(keys: Mapping[str, Key], asked: str) -> Key:
    """Return a key by its id, or the one of this name that is not revoked yet."""
    if asked in keys:
        return keys[asked]
    for key in keys.values():
        if key.name == asked and key.revoked_at is None:
            return key
    if _LOOKS_LIKE_A_KEY.match(asked):
        raise CommandFailed(Problem("KEY_NOT_FOUND", "that is a key itself; its id or its name is wanted"))
    raise CommandFailed(Problem("KEY_NOT_FOUND", f"there is no key {asked}"))


@contextmanager
def _file(data_dir: str | None, config: Path | None) -> Iterator[KeyFile]:
    file = KeyFile(load_settings({"data_dir": data_dir} if data_dir else {}, config).data_dir)
    try:
        yield file
    except KeysUnusable as error:
        raise CommandFailed(Problem("KEYS_UNUSABLE", str(error))) from error
    except OSError as error:
        raise CommandFailed(Problem("KEYS_UNUSABLE", f"{file.path}: {error.strerror}")) from error


def _document(key: Key, now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "state": key.state(now),
        "ends_with": key.ends_with,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _draw_new(terminal: "Terminal", document: dict[str, Any]) -> None:
    terminal.line(document["key"])
    until = f", good until {document['expires_at']:%Y-%m-%d %H:%M} UTC" if document["expires_at"] else ""
    terminal.line(f"{document['name']}, {document['id']}: {', '.join(document['scopes'])}{until}")
    terminal.line("It is not shown again: only a hash of it is kept.")
