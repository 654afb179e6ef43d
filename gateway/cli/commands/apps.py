"""`sgw app list` and `sgw app show`."""

import click

from gateway.cli.complete import app_names
from gateway.cli.connection import Target, client_command
from gateway.cli.lazy import examples


@click.command("list", epilog=examples("sgw app list", "sgw app list --json | jq -r '.apps[].name'"))
@client_command
def list_apps(target: Target) -> None:
    """List the deployed apps with their current version."""
    with target.client("asking for the apps") as client:
        found = list(client.apps.list())
    apps = [
        {key: app[key] for key in ("name", "version", "versions", "default_function", "concurrency")} for app in found
    ]
    target.output.show({"apps": apps}, lambda terminal: terminal.app_table(found))


@click.command("show", epilog=examples("sgw app show kv", "sgw app show kv@3f9c2a17be04 --json | jq .functions"))
@click.argument("app", shell_complete=app_names)
@client_command
def show_app(target: Target, app: str) -> None:
    """Show the functions of APP (`name` or `name@version`), what they take and what they return."""
    with target.client(f"asking about {app}") as client:
        found = client.apps.get(app)
    target.output.show(found, lambda terminal: terminal.app(found))
