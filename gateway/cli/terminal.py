"""What people at a terminal see. Drawn with rich, which takes a while to load and is therefore imported only here."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.cli.schemas import properties_of
from gateway.cli.text import visible
from sessiongateway import AppInfo, FunctionInfo, KeepaliveEvent, RunResult, SessionInfo, WatchEvent

_TENTHS_BELOW = 10
_MINUTES_FROM = 120
"""Seconds left: how exactly they are told."""

_EVENT_COLOURS = {"created": "green", "ended": "dim", "expired": "yellow", "worker_lost": "red"}
_STATUS_COLOURS = {"active": "green", "ended": "dim", "expired": "yellow"}


@contextlib.contextmanager
def turning(text: str) -> Iterator[None]:
    """Turn something on standard error while the block runs, and leave no trace."""
    with Console(stderr=True).status(Text(visible(text) + " …", style="dim")):
        yield


class Terminal:
    """Draws on standard output."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False)

    def run_result(self, result: RunResult) -> None:
        """Draw a function's output and, below it, the session."""
        self.json(result.output)
        if result.session is not None:
            self._console.print(_one_line(result.session), soft_wrap=True)

    def json(self, value: Any) -> None:
        """Draw JSON in colours, wrapped nowhere, so that it can be copied."""
        text = JSONHighlighter()(visible(json.dumps(value, ensure_ascii=False, indent=2)))
        self._console.print(text, soft_wrap=True)

    def partial(self, value: Any) -> None:
        """Draw a partial output in one line, at once."""
        self._console.print(JSONHighlighter()(visible(json.dumps(value, ensure_ascii=False))), soft_wrap=True)

    def session(self, info: SessionInfo) -> None:
        """Draw everything about one session."""
        grid = _grid()
        for name, value in _session_rows(info):
            grid.add_row(name, value)
        self._console.print(grid)

    def session_table(self, infos: Sequence[SessionInfo], *, more: bool = False) -> None:
        """Draw a table of sessions."""
        if not infos:
            self._console.print(Text("no sessions", style="dim"))
            return
        self._console.print(sessions_table(infos))
        if more:
            self._console.print(Text("there are more: --all, or a larger --limit", style="dim"))

    def keepalive_event(self, event: KeepaliveEvent) -> None:
        """Draw one line about a renewal or a loss."""
        line = Text(f"{datetime.now().astimezone():%H:%M:%S}  {event.session_id}  ")
        if event.session is not None:
            line.append("renewed", style="green")
            line.append(f", {_duration(event.session.expires_in)} left")
        elif event.error is not None:
            line.append(f"lost: {visible(event.error.message)}", style="red")
        self._console.print(line, soft_wrap=True)

    def watch_event(self, event: WatchEvent) -> None:
        """Draw one line about what happened to a session, or that the watch stands."""
        self._console.print(watch_line(event), soft_wrap=True)

    def session_line(self, info: SessionInfo) -> None:
        """Draw one session in one line."""
        self._console.print(_one_line(info), soft_wrap=True)

    def app_table(self, apps: Sequence[AppInfo]) -> None:
        """Draw a table of apps."""
        if not apps:
            self._console.print(Text("no apps are deployed; deploy one: sgw app deploy DIR", style="dim"))
            return
        table = _table("app", "version", "versions", "default function", "calls at a time")
        for app in apps:
            table.add_row(
                app.name, app.version, str(len(app.versions)), app.default_function or "–", str(app.concurrency)
            )
        self._console.print(table)

    def key_table(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """Draw a table of API keys."""
        if not keys:
            self._console.print(Text("no keys; make one: sgw key create NAME", style="dim"))
            return
        table = _table("id", "name", "scopes", "key", "state", "created", "expires")
        for key in keys:
            state = Text(key["state"], style="green" if key["state"] == "active" else "dim")
            expires = "never" if key["expires_at"] is None else f"{key['expires_at']:%Y-%m-%d}"
            row = (key["id"], key["name"], ", ".join(key["scopes"]), f"…{key['ends_with']}")
            table.add_row(*row, state, f"{key['created_at']:%Y-%m-%d}", expires)
        self._console.print(table)

    def app(self, app: AppInfo) -> None:
        """Draw an app with its functions."""
        grid = _grid()
        grid.add_row("app", Text(f"{app.name}@{app.version}", style="bold"))
        others = [version for version in app.versions if version != app.version]
        current = "yes" if app.version == app.current_version else f"no, that is {app.current_version}"
        grid.add_row("current", current)
        grid.add_row("other versions", ", ".join(others) or "none")
        grid.add_row("calls at a time", str(app.concurrency))
        grid.add_row("free workers", ", ".join(app.idle_worker_ids) or "none")
        self._console.print(grid)
        for function in app.functions:
            self._console.print()
            self._function(function, is_default=function.name == app.default_function)

    def functions(self, functions: Sequence[Mapping[str, Any]]) -> None:
        """Draw names of functions with the first line of their descriptions."""
        grid = _grid()
        for function in functions:
            grid.add_row(function["name"], visible(function["description"].partition("\n")[0]))
        self._console.print(grid)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Draw a table of text."""
        table = _table(*headings)
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        self._console.print(table)

    def marked(self, mark: str, colour: str, text: str) -> None:
        """Draw one line that begins with a coloured word, wrapped nowhere."""
        self._console.print(Text(mark, style=colour).append(visible(text), style="default not bold"), soft_wrap=True)

    def fitting(self, draw: Callable[[int], RenderableType]) -> None:
        """Draw what is made for a width, which is that of the terminal."""
        self._console.print(draw(self._console.width))

    def line(self, text: str) -> None:
        """Draw one line, wrapped nowhere."""
        self._console.print(Text(visible(text)), soft_wrap=True)

    def _function(self, function: FunctionInfo, *, is_default: bool) -> None:
        title = Text(function.name, style="bold cyan")
        if is_default:
            title.append("  (default)", style="dim")
        if function.streams:
            title.append("  (streams)", style="dim")
        self._console.print(title)
        if function.description:
            self._console.print(Padding(Text(visible(function.description)), (0, 2)))
        grid = _grid()
        _add_schema(grid, "takes", function.input_schema)
        if function.streams:
            _add_schema(grid, "yields", function.partial_schema)
        _add_schema(grid, "returns", function.output_schema)
        self._console.print(Padding(grid, (0, 2)))


def sessions_table(infos: Sequence[SessionInfo], *, wrap: bool = True) -> Table:
    """Return a table of sessions; without `wrap` each has one line, whatever the width."""
    table = _table("session", "app", "status", "left or reason", "calls")
    table.columns[0].no_wrap = True
    table.columns[4].justify = "right"
    if not wrap:
        for column in table.columns[1:]:
            column.no_wrap, column.overflow = True, "ellipsis"
    for info in infos:
        left = _duration(info.expires_in) if info.status == "active" else (info.end_reason or "").replace("_", " ")
        table.add_row(info.id, f"{info.app}@{info.version}", _status(info), left, str(info.call_count))
    return table


def watch_line(event: WatchEvent) -> Text:
    """Return what happened to a session, or that the watch stands, in one line."""
    line = Text(f"{event.occurred_at.astimezone():%H:%M:%S}  ")
    if event.session is None:
        line.append("watching; Ctrl-C ends it", style="dim")
        return line
    word = event.event.replace("_", " ")
    line.append(f"{word:<11}", style=_EVENT_COLOURS.get(event.event, ""))
    line.append(f"  {event.session.id}  {event.session.app}@{event.session.version}")
    if event.session.end_reason:
        line.append(f"  {event.session.end_reason.replace('_', ' ')}{_exit_of(event.session)}", style="dim")
    return line


def _add_schema(grid: Table, heading: str, schema: Mapping[str, Any]) -> None:
    entries = list(properties_of(schema))
    if not entries:
        grid.add_row(heading, Text("an object", style="dim"))
    for number, entry in enumerate(entries):
        name = Text(visible(entry.name))
        if not entry.required and heading == "takes":
            name.append("?", style="dim")
        grid.add_row(
            heading if number == 0 else "", name, Text(visible(entry.type), style="green"), visible(entry.description)
        )


def _session_rows(info: SessionInfo) -> Iterator[tuple[str, str | Text]]:
    yield "session", Text(info.id, style="bold")
    yield "app", f"{info.app}@{info.version}"
    yield "status", _status(info)
    if info.end_reason:
        yield "because", info.end_reason.replace("_", " ") + _exit_of(info)
    if info.status == "active":
        yield "expires", f"{_moment(info.expires_at)}, {_duration(info.expires_in)} left"
    yield "timeout", f"{info.session_timeout} s without a call"
    yield "calls", str(info.call_count)
    yield "last call", _moment(info.last_call_at)
    yield "created", _moment(info.created_at)
    if info.ended_at is not None:
        yield "ended", _moment(info.ended_at)
    yield "worker", info.worker_id


def _one_line(info: SessionInfo) -> Text:
    line = Text(info.id, style="bold")
    line.append(f"  {info.app}@{info.version}", style="dim")
    line.append("  ")
    line.append_text(_status(info))
    calls = "1 call" if info.call_count == 1 else f"{info.call_count} calls"
    line.append(f"  {calls}, {_duration(info.expires_in)} left", style="dim")
    return line


def _exit_of(info: SessionInfo) -> str:
    match info.worker_exit:
        case {"signal": number}:
            return f" (signal {number})"
        case {"exit_code": number}:
            return f" (exit code {number})"
    return ""


def _status(info: SessionInfo) -> Text:
    return Text(info.status, style=_STATUS_COLOURS.get(info.status, ""))


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f} s"
    if seconds < _MINUTES_FROM:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    return grid


def _table(*headings: str) -> Table:
    table = Table(*headings, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table
