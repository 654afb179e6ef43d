"""`sgw app run`."""

from typing import Any

import click

from gateway.cli.complete import app_names, session_ids
from gateway.cli.connection import Target, client_command
from gateway.cli.inputs import JsonObject
from gateway.cli.lazy import examples
from gateway.cli.problems import CommandFailed, Problem


@click.command(
    "run",
    epilog=examples(
        'sgw app run kv --session new --input \'{"key": "value"}\'',
        'sgw app run kv --session sess_... --function get_value --input \'{"key": "a"}\'',
        "sgw app run sql --session new --session-timeout 300 --function load --input @load.json",
        "ID=$(sgw app run kv --session new | jq -r .session_id)",
    ),
)
@click.argument("app", shell_complete=app_names)
@click.option("--function", metavar="NAME", help="Which function. Left out: the app's default function.")
@click.option("--input", type=JsonObject(), help="The function's input, a JSON object. Left out: an empty one.")
@click.option(
    "--session",
    metavar="new|ID",
    shell_complete=session_ids,
    help="`new` starts a session, an id goes on with one. Left out: a plain call, of which nothing is kept.",
)
@click.option("--session-timeout", metavar="SECONDS", type=int, help="With `new`: end after so long without a call.")
@click.option("--worker-id", metavar="ID", help="With `new`: lease this worker. With an id: it must still be this one.")
@click.option("--request-id", metavar="ID", help="A repeat with the same id gets the first answer and does not run.")
@click.option(
    "--expected-call-count", metavar="N", type=int, help="Only if the session has had exactly so many calls before."
)
@client_command
def run(target: Target, /, app: str, **fields: Any) -> None:
    """Call a function of APP, which is `name` or `name@version`.

    A call may take as long as it takes, unless --timeout says otherwise. Ctrl-C cancels it.
    """
    with target.client(f"calling {app}", default_timeout=None) as client:
        try:
            result = client.run(app=app, **fields)
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandFailed(Problem("INTERRUPTED", f"the call of {app} was cancelled", "unknown")) from None
    target.output.show(result, lambda terminal: terminal.run_result(result))
