"""`sgw app run`."""

import itertools
from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.complete import app_names, session_ids
from gateway.cli.connection import Target, client_command, spinner
from gateway.cli.inputs import JsonObject
from gateway.cli.lazy import examples
from gateway.cli.problems import CommandFailed, Problem
from sessiongateway import Inference, RunStream


@click.command(
    "run",
    epilog=examples(
        'sgw app run kv --session new --input \'{"key": "value"}\'',
        'sgw app run kv --session sess_... --function get_value --input \'{"key": "a"}\'',
        "sgw app run sql --session new --session-timeout 300 --function load --input @load.json",
        "ID=$(sgw app run kv --session new | jq -r .session_id)",
        "sgw app run sql --session sess_... --function rows --input @query.json --stream | jq -c '.partial // empty'",
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
@click.option("--stream", is_flag=True, help="Show partial outputs as they come, and the result at the end.")
@client_command
def run(target: Target, /, app: str, stream: bool, **fields: Any) -> None:
    """Call a function of APP, which is `name` or `name@version`.

    A call may take as long as it takes, unless --timeout says otherwise. Ctrl-C cancels it.

    With --stream into a pipe, or with --json, each line is a document: {"partial": {...}} for each partial output, and
    last {"result": {...}}, which has what is written without --stream.
    """
    # With a stream something turns only until the first output is there, lest the two write over each other.
    doing = f"calling {app}"
    with target.client("" if stream else doing, default_timeout=None) as client:
        try:
            if stream:
                _stream(target, client, doing, {"app": app, **fields})
                return
            result = client.run(app=app, **fields)
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandFailed(Problem("INTERRUPTED", f"the call of {app} was cancelled", "unknown")) from None
    target.output.show(result, lambda terminal: terminal.run_result(result))


def _stream(target: Target, client: Inference, doing: str, fields: dict[str, Any]) -> None:
    with client.run_stream(fields) as stream:
        for partial in _outputs(stream, doing, shown=not target.output.asked_for_json):
            _show_partial(target, partial)
    result = stream.result
    target.output.show_event({"result": result}, lambda terminal: terminal.run_result(result))


def _show_partial(target: Target, partial: Any) -> None:
    target.output.show_event({"partial": partial}, lambda terminal: terminal.partial(partial))


def _outputs(stream: RunStream, doing: str, *, shown: bool) -> Iterator[Any]:
    with spinner(doing, shown=shown):
        first = list(itertools.islice(stream, 1))
    return itertools.chain(first, stream)
