"""`sgw top`."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.connection import DEFAULT_ADDRESS, Target, client_command
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from gateway.cli.problems import CommandFailed, Problem
from gateway.cli.top.document import document_of
from gateway.cli.top.order import BY_NAME
from gateway.cli.top.picture import Look, Picture, picture
from gateway.cli.top.source import Metrics, Source, found, metrics_named
from gateway.cli.top.view import View
from gateway.config import read
from gateway.workers.runtime import runtime_directory

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(
    "top",
    epilog=examples(
        "sgw top",
        "sgw top --metrics :9464",
        "sgw top --metrics http://gateway.example:9464/metrics --address gateway.example:50151 --tls",
        "sgw top --sort memory --interval 5",
        "sgw top --once --json | jq '.apps[] | {name, calls, worker_p99}'",
    ),
)
@click.option(
    "--metrics",
    "port",
    metavar="HOST:PORT|URL",
    help="The metrics port; :PORT is on the gateway's host.  [metrics.address of the settings, else :9464, if it "
    "answers]",
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The gateway's, if it has one.")
@click.option("--data-dir", metavar="DIR", help="That of the gateway, where its workers are found.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    help="To the next.",
)
@click.option("--sort", type=click.Choice(list(BY_NAME)), default="rate", show_default=True, help="Sessions, by what.")
@click.option("--once", is_flag=True, help="Show one picture, of one interval, and end.")
@client_command
def top(
    target: Target,
    *,
    port: str | None,
    config: Path | None,
    data_dir: str | None,
    interval: float,
    sort: str,
    once: bool,
) -> int:
    """Show what a gateway does: apps, sessions, workers, queues, and how long things take.

    Rates and latencies are those of the last interval, and come from the metrics port (sgw serve --metrics-address);
    without one there are sessions and apps. Sessions are those that the API key may see. On a terminal it goes on until
    `q` or Ctrl-C; into a pipe, with --json or --once, there is one picture, after one interval.
    """
    settings = read({"data_dir": data_dir} if data_dir else {}, config, {"data_dir": "--data-dir"}).settings
    address = target.address or DEFAULT_ADDRESS
    metrics = _named(port, address) if port else found(address, settings.metrics.address)
    view = View(address, metrics.url if metrics else None, BY_NAME[sort])
    in_place = target.output.for_people and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    with target.client("") as client:
        source = Source(client, metrics, runtime_directory(settings.data_dir))
        first = source.look()
        if port and first.page is None:
            raise CommandFailed(_no_metrics(first))
        if once or not in_place:
            return _one_picture(target, source, first, view, interval)
        return _go_on(source, first, view, interval)


def _named(port: str, address: str) -> Metrics:
    try:
        return metrics_named(port, address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--metrics") from error


def _no_metrics(look: Look) -> Problem:
    """Return what is told where somebody has said that there are metrics, and there are none."""
    return Problem(
        "UNAVAILABLE",
        "; ".join(look.notes),
        meaning="The gateway answers, but what --metrics names does not, or is no metrics port of a gateway.",
        do="Name the port that the gateway's log has (metrics at ...), or leave --metrics out. A gateway has one with "
        "sgw serve --metrics-address.",
    )


def _one_picture(target: Target, source: Source, first: Look, view: View, interval: float) -> int:
    time.sleep(interval)
    shown = picture(first, source.look())
    target.output.show(
        document_of(shown, view.address, view.order),
        lambda terminal: terminal.fitting(lambda width: _drawn(shown, view, width)),
    )
    return Exit.OK


def _drawn(shown: Picture, view: View, width: int) -> "RenderableType":
    from gateway.cli.top.screen import whole  # noqa: PLC0415 -- loads rich

    return whole(shown, view, width)


def _go_on(source: Source, first: Look, view: View, interval: float) -> int:
    # They load rich.
    from gateway.cli.top.keyboard import Keyboard  # noqa: PLC0415
    from gateway.cli.top.live import Looker, show  # noqa: PLC0415

    keyboard = Keyboard()
    with Looker(source, first, interval, keyboard) as looker:
        return show(looker, view, keyboard)
