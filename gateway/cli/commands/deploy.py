"""`sgw app deploy`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.apps.deploy import deploy as deploy_app
from gateway.apps.manifest import AppDirectoryError
from gateway.cli.connection import json_option, spinner
from gateway.cli.lazy import examples
from gateway.cli.local_app import describe, directory_argument, load_app
from gateway.cli.output import Output
from gateway.cli.settings import load_settings
from gateway.cli.text import visible
from gateway.model import AppVersion, FunctionDescription

if TYPE_CHECKING:
    from gateway.cli.terminal import Terminal


@click.command(
    "deploy",
    epilog=examples(
        "sgw app deploy examples/kv",
        "sgw app deploy build/model --name acme/model --data-dir /var/lib/session-gateway",
    ),
)
@directory_argument
@click.option("--name", default="", help="The app's name. Left out: that of app.toml, else the directory's.")
@click.option("--data-dir", metavar="DIR", envvar="SGW_DATA_DIR", show_envvar=True, help="That of the gateway.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The gateway's, if it has one.")
@click.option("--no-check", is_flag=True, help="Do not import the app before.")
@json_option
def deploy(
    directory: Path, *, name: str, data_dir: str | None, config: Path | None, no_check: bool, as_json: bool
) -> None:
    """Copy the app in DIR to a new version and make that the current one.

    The version is named by the content: the same content is the same version. A gateway that runs on this machine
    with this data directory has it from the next call on. Before that the app is imported once, the way a gateway
    does it, to see that it can be.
    """
    output = Output(as_json=as_json)
    settings = load_settings({"data_dir": data_dir} if data_dir else {}, config, {"data_dir": "--data-dir"})
    app = load_app(directory, name)
    functions: Sequence[FunctionDescription] | None = None
    if not no_check:
        with spinner(f"importing {directory}", shown=not as_json):
            functions = asyncio.run(describe(app))
    made = not settings.data_dir.exists()
    try:
        deployed = deploy_app(directory, settings.data_dir / "apps", app.ref.name)
    except (AppDirectoryError, OSError) as error:
        raise click.ClickException(str(error)) from error
    document = _document(deployed, functions)
    output.show(document, lambda terminal: _draw(terminal, document))
    if made:
        click.echo(f"made the data directory {visible(str(settings.data_dir))}: no gateway has used it yet", err=True)


def _document(app: AppVersion, functions: Sequence[FunctionDescription] | None) -> dict[str, Any]:
    return {
        "app": app.ref.name,
        "version": app.ref.version,
        "directory": str(app.directory),
        "functions": functions
        and [{"name": function.name, "description": function.description} for function in functions],
    }


def _draw(terminal: "Terminal", document: dict[str, Any]) -> None:
    terminal.line(f"deployed {document['app']}@{document['version']}, now the current version")
    terminal.line(f"in {document['directory']}")
    if document["functions"]:
        terminal.functions(document["functions"])
