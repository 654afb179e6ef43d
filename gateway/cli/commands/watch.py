"""`sgw session watch`."""

from collections.abc import Iterable
from typing import Any

import click

from gateway.cli.complete import app_names
from gateway.cli.connection import Target, client_command
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from sessiongateway import WatchEvent


@click.command(
    "watch",
    epilog=examples(
        "sgw session watch --app kv",
        "sgw session watch --json | jq -r 'select(.event == \"worker_lost\") | .session_id'",
    ),
)
@click.option(
    "--app", metavar="APP", shell_complete=app_names, help="Only those of this app, `name` or `name@version`."
)
@click.option(
    "--resume-token",
    metavar="TOKEN",
    help="Begin behind the line of an earlier watch that had this `resume_token`. Left out: now.",
)
@client_command
def watch(target: Target, app: str | None, resume_token: str | None) -> int:
    """Tell of each of your sessions that begins, ends, expires or loses its worker, until Ctrl-C.

    A gateway that is restarted is found again, and nothing is left out. The event `watching` says that the watch
    stands; in JSON it comes again after quiet times, with a fresh `resume_token`.
    """
    try:
        with target.client("") as client, client.sessions.watch(resume_token, app, show_watching=True) as events:
            _show(target, events)
    except KeyboardInterrupt:
        # The usual end of a watch, about which there is nothing to say.
        return Exit.INTERRUPTED
    return Exit.OK


def _show(target: Target, events: Iterable[WatchEvent]) -> None:
    stands = False
    for event in events:
        again = event.session is None and stands
        stands = True
        if not (again and target.output.for_people):
            _show_event(target, event)


def _show_event(target: Target, event: WatchEvent) -> None:
    target.output.show_event(_document(event), lambda terminal: terminal.watch_event(event))


def _document(event: WatchEvent) -> dict[str, Any]:
    document: dict[str, Any] = {"event": event.event, "occurred_at": event.occurred_at}
    if event.session is not None:
        document |= {"session_id": event.session.id, **event.session}
    return {**document, "resume_token": event.resume_token}
