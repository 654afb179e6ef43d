"""`sgw session get`, `list`, `keepalive` and `end`."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

import sessiongateway
from gateway.cli import problems
from gateway.cli.commands.list_watch import Listing, follow_list
from gateway.cli.complete import app_names, session_ids
from gateway.cli.connection import Target, client_command
from gateway.cli.documents import document_of
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from sessiongateway import KeepaliveEvent, SessionInfo

_LARGEST_PAGE = 1000

one_session = click.argument("session_id", metavar="ID", shell_complete=session_ids)
some_sessions = click.argument("session_ids", metavar="ID...", nargs=-1, required=True, shell_complete=session_ids)


@click.command("get", epilog=examples("sgw session get sess_...", "sgw session get sess_... --json | jq -r .status"))
@one_session
@client_command
def get(target: Target, session_id: str) -> None:
    """Show a session, also a finished one. This does not extend its life."""
    with target.client("asking for the session") as client:
        info = client.sessions.get(session_id)
    target.output.show(document_of(info), lambda terminal: terminal.session(info))


@click.command(
    "list",
    epilog=examples(
        "sgw session list --status active",
        "sgw session list --watch --app kv",
        "sgw session list --app kv --all --json | jq -r '.sessions[].session_id'",
    ),
)
@click.option("--status", type=click.Choice(["active", "ended", "expired"]), help="Only those.")
@click.option(
    "--app", metavar="APP", shell_complete=app_names, help="Only those of this app, `name` or `name@version`."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
@click.option("--all", "all_of_them", is_flag=True, help="However many there are.")
@click.option("--watch", is_flag=True, help="Keep the list up to date, until Ctrl-C.")
@client_command
def list_sessions(
    target: Target, *, status: str | None, app: str | None, limit: int, all_of_them: bool, watch: bool
) -> int:
    """List your sessions, the newest first.

    With --watch a terminal shows as many as there is room for, as they are at each moment; into a pipe, or with --json,
    each is a line, and each change after that. A gateway that is restarted is found again.
    """
    if watch:
        return follow_list(target, Listing(status, app, None if all_of_them else limit))
    wanted = None if all_of_them else limit + 1
    with target.client("asking for the sessions") as client:
        pages = client.sessions.list(status, app, page_size=min(wanted or _LARGEST_PAGE, _LARGEST_PAGE))
        found = list(itertools.islice(pages, wanted))
    more = wanted is not None and len(found) == wanted
    shown = found[:limit] if more else found
    document = {"sessions": [document_of(info) for info in shown], "more": more}
    target.output.show(document, lambda terminal: terminal.session_table(shown, more=more))
    return Exit.OK


@click.command(
    "keepalive",
    epilog=examples("sgw session keepalive sess_...", "sgw session keepalive --follow sess_... sess_..."),
)
@some_sessions
@click.option("--follow", is_flag=True, help="Keep renewing, and tell how it goes, until Ctrl-C or the last is lost.")
@client_command
def keepalive(target: Target, session_ids: tuple[str, ...], follow: bool) -> int:
    """Let the timeout of sessions begin anew, as a call would."""
    if follow:
        return _follow(target, session_ids)
    return _each(target, session_ids, "renewing", lambda client, session_id: client.sessions.keepalive(session_id))


@click.command(
    "end",
    epilog=examples(
        "sgw session end sess_...", "sgw session end $(sgw session list --json | jq -r '.sessions[].session_id')"
    ),
)
@some_sessions
@client_command
def end(target: Target, session_ids: tuple[str, ...]) -> int:
    """End sessions and release their workers at once. One that is finished already stays as it is."""
    return _each(target, session_ids, "ending", lambda client, session_id: client.sessions.end(session_id))


def _each(
    target: Target,
    session_ids: Sequence[str],
    doing: str,
    act: Callable[[sessiongateway.Inference, str], SessionInfo],
) -> int:
    """Act on every session, whatever becomes of the others; the first failure is the command's."""
    if len(session_ids) == 1:
        with target.client(f"{doing} the session") as client:
            info = act(client, session_ids[0])
        target.output.show(document_of(info), lambda terminal: terminal.session(info))
        return Exit.OK
    infos: list[SessionInfo] = []
    failures: list[problems.Problem] = []
    documents: list[dict[str, Any]] = []
    with target.client(f"{doing} {len(session_ids)} sessions") as client:
        for session_id in session_ids:
            try:
                infos.append(act(client, session_id))
                documents.append(document_of(infos[-1]))
            except sessiongateway.SessionGatewayError as error:
                failures.append(problems.of_gateway(error))
                documents.append({"session_id": session_id, "error": failures[-1].bare_document()})
    if infos or not target.output.for_people:
        target.output.show({"sessions": documents}, lambda terminal: terminal.session_table(infos))
    return _report(target, failures)


def _follow(target: Target, session_ids: Sequence[str]) -> int:
    failures = []
    with target.client("") as client:
        _check_connection(client, session_ids[0])
        with client.stream_keepalive(session_ids) as events:
            for event in events:
                document: dict[str, Any] = {"session_id": event.session_id}
                if event.error is not None:
                    failures.append(problems.of_gateway(event.error))
                    document["error"] = failures[-1].bare_document()
                elif event.session is not None:
                    document = document_of(event.session)
                _show_event(target, event, document)
    return _report(target, failures)


def _check_connection(client: sessiongateway.Inference, session_id: str) -> None:
    """Fail where there is no gateway: a stream would try again without end, and without a word."""
    try:
        client.sessions.get(session_id)
    except sessiongateway.UnavailableError:
        raise
    except sessiongateway.SessionGatewayError:
        pass  # a gateway has said so; what becomes of each session is told by the stream


def _show_event(target: Target, event: KeepaliveEvent, document: Mapping[str, Any]) -> None:
    target.output.show_event(document, lambda terminal: terminal.keepalive_event(event))


def _report(target: Target, failures: Sequence[problems.Problem]) -> int:
    if not target.output.asked_for_json:
        for problem in failures:
            problems.report(problem, as_json=False)
    return failures[0].exit if failures else Exit.OK
