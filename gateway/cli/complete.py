"""Completion of app names and session ids, asked of a running gateway."""

import itertools
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

import sessiongateway
from gateway.cli.connection import Target, make_client, tls_of
from gateway.cli.output import Output

PATIENCE = 1.0
"""Seconds that somebody who pressed Tab is kept waiting by a gateway that does not answer."""

_ENOUGH = 100


def app_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of apps that begin so; after an @ their versions."""
    name, at, _version = incomplete.partition("@")
    if at:
        return _ask(ctx, incomplete, lambda client: ((f"{name}@{v}", "") for v in client.apps.get(name).versions))
    return _ask(ctx, incomplete, lambda client: ((app.name, app.version) for app in client.apps.list()))


def session_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of active sessions that begin so, and `new` where that may stand."""
    new = [CompletionItem("new")] if param.param_type_name == "option" and "new".startswith(incomplete) else []
    return new + _ask(
        ctx, incomplete, lambda client: ((info.id, info.app) for info in client.sessions.list(status="active"))
    )


def _ask(
    ctx: click.Context,
    incomplete: str,
    question: Callable[[sessiongateway.Inference], Iterable[tuple[str, str]]],
) -> list[CompletionItem]:
    try:
        output, tls = Output(as_json=True), tls_of(dict(ctx.params))
        target = Target(ctx.params.get("address"), ctx.params.get("api_key"), None, output, tls)
        with make_client(target, PATIENCE) as client:
            answers = itertools.islice(question(client), _ENOUGH)
            return [CompletionItem(text, help=more) for text, more in answers if text.startswith(incomplete)]
    except (sessiongateway.SessionGatewayError, click.UsageError):
        return []  # no gateway, no suggestions: a message would end up in the line that is being typed
