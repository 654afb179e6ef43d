"""`sgw session watch`."""

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType

import click

from gateway.cli.complete import app_names
from gateway.cli.connection import Target, client_command
from gateway.cli.documents import document_of_event
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from sessiongateway import WatchEvent, WatchStream


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
        with (
            target.client("") as client,
            client.sessions.watch(resume_token, app, show_watching=True) as events,
            ended_by_interrupt(events),
        ):
            _show(target, events)
    except KeyboardInterrupt:
        pass  # before the watch stood, or a second time: as below
    # The usual end of a watch, about which there is nothing to say.
    return Exit.INTERRUPTED


@contextlib.contextmanager
def ended_by_interrupt(events: WatchStream) -> Iterator[None]:
    """Have Ctrl-C close the watch rather than break off whatever runs at that moment, such as the writing of a line."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        # On another thread, since this one may be in the middle of a step of the very same watch.
        threading.Thread(target=close, daemon=True).start()

    def close() -> None:
        # The command may be over, and its client with it, before this is.
        with contextlib.suppress(RuntimeError):
            events.close()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _show(target: Target, events: Iterable[WatchEvent]) -> None:
    stands = False
    for event in events:
        again = event.session is None and stands
        stands = True
        if not (again and target.output.for_people):
            _show_event(target, event)


def _show_event(target: Target, event: WatchEvent) -> None:
    target.output.show_event(document_of_event(event), lambda terminal: terminal.watch_event(event))
