"""`sgw doctor`."""

import asyncio
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sessiongateway
from gateway.cli.commands.serve import flag_names, serve, settings_tree
from gateway.cli.connection import Target, client_command
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from gateway.config import read
from gateway.doctor.examination import Subject, examine
from gateway.doctor.finding import Finding, Status
from gateway.doctor.live import Caller

if TYPE_CHECKING:
    from gateway.cli.terminal import Terminal

_COLOURS = {Status.OK: "green", Status.WARNING: "bold yellow", Status.FAILED: "bold red", Status.SKIPPED: "dim"}
_FLAGS = frozenset(
    {
        "listen",
        "data_dir",
        "apps",
        "config",
        "insecure",
        "auth",
        "store_url",
        "cluster_listen",
        "processes",
        "pool",
        "ray_address",
        "max_workers",
    }
)
"""Of `sgw serve`, by what they set: what makes a difference here."""

_WIDEST = max(len(status) for status in Status)


@click.command(
    "doctor",
    params=[option for option in serve.params if option.name in _FLAGS],
    epilog=examples(
        "sgw doctor",
        "sgw doctor --config /etc/session-gateway.toml --data-dir /var/lib/session-gateway",
        "sgw doctor --store redis://10.0.0.9:6379 --cluster-listen 10.0.0.1:50152 --pool ray",
        "sgw doctor --address gateway.example:50151 --tls-ca ca.pem",
        "sgw doctor --strict --json | jq -r '.findings[] | select(.status == \"failed\") | .do'",
    ),
)
@click.option("--strict", is_flag=True, help="Warnings count as failures.")
@client_command
def doctor(target: Target, /, *, config: Path | None, strict: bool, **flags: Any) -> int:
    """Check an installation on this machine and the gateway at the address, and say how to mend what is wrong.

    Looks at what is installed, the settings, the limits of the machine, certificates, the data directory, each app,
    and the gateway, if one runs. It changes nothing and does not disturb a running gateway. Run it as the gateway's
    user, with the gateway's environment, and with the flags that `sgw serve` is given, as far as they are below;
    --tls-cert and --tls-key are the caller's here. The exit code is 0 when nothing has failed, else 1.
    """
    loaded = read(settings_tree(flags), config, flag_names())
    try:
        tls = target.tls or sessiongateway.TLS.from_environment()
        if tls is not None:
            tls.credentials()  # names the file that cannot be used
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    caller = Caller(target.address or loaded.settings.server.listen, target.address is not None, target.api_key, tls)
    findings = asyncio.run(_all(target, Subject(loaded, caller)))
    count = Counter(finding.status for finding in findings)
    if target.output.for_people:
        target.output.show({}, lambda terminal: _draw_sum(terminal, count))
    else:
        target.output.show(_document(findings, count), _draw_nothing)
    return Exit.OTHER if count[Status.FAILED] or (strict and count[Status.WARNING]) else Exit.OK


async def _all(target: Target, subject: Subject) -> list[Finding]:
    findings = []
    async for finding in examine(subject):
        findings.append(finding)
        if target.output.for_people:
            # Some take seconds: each is shown when it is there.
            target.output.show({}, partial(_draw, finding=finding))
    return findings


def _document(findings: list[Finding], count: Counter[Status]) -> dict[str, Any]:
    each = [{name: value for name, value in asdict(finding).items() if value} for finding in findings]
    return {"findings": each, **{status.value: count[status] for status in Status}}


def _draw(terminal: "Terminal", *, finding: Finding) -> None:
    mark = f"{finding.status:<{_WIDEST}}  "
    terminal.marked(mark, _COLOURS[finding.status], f"{finding.check}: {finding.message}")
    if finding.do:
        terminal.line(" " * len(mark) + finding.do)


def _draw_sum(terminal: "Terminal", count: Counter[Status]) -> None:
    terminal.line("")
    terminal.line(", ".join(f"{count[status]} {status.value}" for status in Status if count[status]))


def _draw_nothing(_: "Terminal") -> None:
    """For a document that is written as JSON."""
