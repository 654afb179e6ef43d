"""The command tree, and the one place where what went wrong becomes a message and an exit code."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import click

import sessiongateway
from gateway.cli import problems
from gateway.cli.exits import MEANINGS, Exit
from gateway.cli.lazy import LazyGroup
from gateway.cli.problems import CommandFailed, Problem

_COMMANDS = "gateway.cli.commands"
_EXITS = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
_HELP = {"context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110}}


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"sgw {version('session-gateway')}")
        ctx.exit()


@click.group(
    "sgw",
    cls=LazyGroup,
    lazy={
        "serve": (f"{_COMMANDS}.serve:serve", "Run a gateway."),
        "app": ("gateway.cli.root:app", "Call, deploy and try out apps."),
        "session": ("gateway.cli.root:session", "Look at sessions, keep them alive, end them."),
        "top": (f"{_COMMANDS}.top:top", "Show live what a gateway does."),
        "health": (f"{_COMMANDS}.health:health", "Ask whether a gateway takes calls."),
        "key": ("gateway.cli.root:key", "Make API keys, and revoke them."),
        "config": ("gateway.cli.root:config", "Show and check settings."),
        "doctor": (f"{_COMMANDS}.doctor:doctor", "Check an installation, and say how to mend it."),
        "completion": (f"{_COMMANDS}.completion:completion", "Print the completion script of a shell."),
    },
    epilog=_EXITS,
    **_HELP,
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Tell the version.")
def sgw() -> None:
    """Session Gateway: one worker process for one caller, for as long as a session lasts.

    On a terminal answers are tables and colours; into a pipe, or with --json, each command writes one JSON document.
    Errors go to standard error.
    """


@click.group(
    "app",
    cls=LazyGroup,
    lazy={
        "run": (f"{_COMMANDS}.run:run", "Call a function of an app."),
        "list": (f"{_COMMANDS}.apps:list_apps", "List the deployed apps."),
        "show": (f"{_COMMANDS}.apps:show_app", "Show an app's functions and what they take."),
        "deploy": (f"{_COMMANDS}.deploy:deploy", "Deploy a directory as a new version."),
        "test": (f"{_COMMANDS}.trial:test", "Try an app out without a gateway."),
    },
    **_HELP,
)
def app() -> None:
    """Call, deploy and try out apps."""


@click.group(
    "session",
    cls=LazyGroup,
    lazy={
        "get": (f"{_COMMANDS}.sessions:get", "Show a session."),
        "list": (f"{_COMMANDS}.sessions:list_sessions", "List your sessions."),
        "keepalive": (f"{_COMMANDS}.sessions:keepalive", "Let the timeout of sessions begin anew."),
        "watch": (f"{_COMMANDS}.watch:watch", "Tell what happens to your sessions."),
        "end": (f"{_COMMANDS}.sessions:end", "End sessions and release their workers."),
    },
    **_HELP,
)
def session() -> None:
    """Look at sessions, keep them alive, end them."""


@click.group(
    "key",
    cls=LazyGroup,
    lazy={
        "create": (f"{_COMMANDS}.keys:create", "Make a key for a caller, and show it once."),
        "list": (f"{_COMMANDS}.keys:list_keys", "List the keys."),
        "revoke": (f"{_COMMANDS}.keys:revoke", "Have keys let nobody in any more."),
    },
    **_HELP,
)
def key() -> None:
    """Make API keys, and revoke them. They are in the data directory of the gateway, on this machine."""


@click.group(
    "config",
    cls=LazyGroup,
    lazy={
        "show": (f"{_COMMANDS}.config:show", "Show every setting and where its value comes from."),
        "check": (f"{_COMMANDS}.config:check", "Tell all that is wrong with the settings."),
    },
    **_HELP,
)
def config() -> None:
    """Show and check settings, without starting a gateway."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Writes messages.

    Raises nothing but SystemExit, as click does without a word when whoever read the output went away.
    """
    as_json = "--json" in arguments
    # gRPC reads it when it is loaded, and writes lines of its own about every lost connection otherwise.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        code: Any = sgw.main(list(arguments), prog_name="sgw", standalone_mode=False)
    except click.Abort:
        problems.report(Problem("INTERRUPTED", ""), as_json=as_json)
        return Exit.INTERRUPTED
    except (click.ClickException, CommandFailed, sessiongateway.SessionGatewayError) as error:
        return _fail(error, as_json=as_json)
    return code if isinstance(code, int) else Exit.OK


def _fail(error: Exception, *, as_json: bool) -> int:
    if isinstance(error, click.ClickException) and not as_json:
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        problem = Problem("USAGE", error.format_message())
    elif isinstance(error, CommandFailed):
        problem = error.problem
    else:
        assert isinstance(error, sessiongateway.SessionGatewayError)
        problem = problems.of_gateway(error)
    problems.report(problem, as_json=as_json)
    return problem.exit
