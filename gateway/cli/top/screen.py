"""Draws the picture for a terminal of some size, with rich."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.text import visible
from gateway.cli.top.order import ORDERS, Order
from gateway.cli.top.picture import AppRow, Head, Picture, SessionRow
from gateway.cli.top.units import UNKNOWN, count, latency, rate, share, size, span
from gateway.cli.top.view import View

_WIDE = 100
"""Columns from which on there is room for everything."""

_ID = 31
"""Characters of a session's id."""

_WORKER = 20
"""Characters of a worker's id."""

_WIDEST_APP = 45
"""Characters of an app with its version beyond which there is no use in more room."""

_LEAST_APP = 12
"""Characters of an app's name before columns go."""

_LEAST_SESSION_APP = 8
"""The same for a session's app, which is cut before columns go."""

_LEAST_ID = 8
"""Characters of a session's id by which it can be told from others."""

_AROUND_APPS = 3
"""Lines around the rows of apps: a blank one, headings, how many more."""

_ABOVE_SESSIONS = 2
"""Lines above the rows of sessions: a blank one, headings."""


def whole(picture: Picture, view: View, width: int) -> RenderableType:
    """Return everything, however long it becomes."""
    lines = [*_head(picture, view), Text(), _apps(picture.apps, width)]
    rows = view.order.sort(picture.sessions)
    return Group(*lines, Text(), _sessions(rows, width, view.order), *_more(picture, len(rows), 0))


def fitted(picture: Picture, view: View, width: int, height: int) -> RenderableType:
    """Return what there is room for, never more lines: up to half of it apps, the rest sessions."""
    bottom = _bottom(picture, view)
    lines = _head(picture, view)[: max(0, height - len(bottom))]
    room = height - len(lines) - len(bottom)
    apps, used = _fitted_apps(picture.apps, width, room)
    room -= used
    sessions, used = _fitted_sessions(picture, view, width, room)
    return Group(*lines, *apps, *sessions, *[Text()] * (room - used), *bottom)


_Part = tuple[list[RenderableType], int]
"""What is drawn, and how many lines it takes."""


def _fitted_apps(rows: Sequence[AppRow], width: int, room: int) -> _Part:
    """Return apps that leave at least a line for the sessions."""
    there = len(rows)
    shown = max(1, min(there, room // 2 - _AROUND_APPS))
    used = 2 + (shown if there else 0) + (there > shown)
    if used >= room:
        text = Text(f"{_counted(there, 'app')}: no room", style="dim")
        return ([_fit(text)], 1) if room > 1 else ([], 0)
    lines: list[RenderableType] = [Text(), _apps(rows[:shown], width)]
    if there > shown:
        lines.append(Text(f"and {_counted(there - shown, 'more app')}", style="dim"))
    return lines, used


def _fitted_sessions(picture: Picture, view: View, width: int, room: int) -> _Part:
    rows = view.order.sort(picture.sessions)
    all_fit = _ABOVE_SESSIONS + max(1, len(rows)) + len(_more(picture, len(rows), 0)) <= room
    fit = len(rows) if all_fit else max(0, room - _ABOVE_SESSIONS - 1)
    first = min(view.first, max(0, len(rows) - fit))
    shown = rows[first : first + fit]
    more = _more(picture, len(shown), first)
    if shown:
        return [Text(), _sessions(shown, width, view.order), *more], _ABOVE_SESSIONS + len(shown) + len(more)
    lines = more if rows else [_sessions([], width, view.order), *more]
    spare = [Text()] if room > len(lines) else []
    lines = [*spare, *lines][: max(0, room)]
    return lines, len(lines)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _head(picture: Picture, view: View) -> list[RenderableType]:
    head = picture.head
    return [
        _line(_gateway(head, view)),
        _line(_traffic(picture)),
        *((_line(_workers(head)), _line(_resources(head))) if head.workers_limit is not None else ()),
        *(_one_line(visible(note), "yellow") for note in picture.notes),
    ]


def _gateway(head: Head, view: View) -> Iterator[tuple[str, str]]:
    yield f"Session Gateway {head.version or ''}".strip(), "bold"
    yield view.address, ""
    if head.serving is not None:
        yield ("serving", "green") if head.serving else ("not serving", "bold red")
    if head.uptime is not None:
        yield f"up {span(head.uptime)}", ""
    if head.processes is not None and head.processes_up is not None:
        text = f"{head.processes_up} of {head.processes} processes" if head.processes > 1 else "1 process"
        yield text, "" if head.processes_up == head.processes else "bold red"


def _traffic(picture: Picture) -> Iterator[tuple[str, str]]:
    head, in_sessions = picture.head, picture.session_calls
    if head.calls is None and in_sessions is not None:
        yield f"calls in these sessions {rate(in_sessions)}/s", "bold" if in_sessions else ""
    else:
        yield f"calls {rate(head.calls)}/s", "bold" if head.calls else ""
    yield f"errors {rate(head.errors)}/s", "red" if head.errors else ""
    yield f"in flight {count(head.in_flight)}", ""
    yield f"sessions {count(head.sessions)} ({count(head.busy)} busy)", ""
    yield f"waiting {count(head.waiting)}", "yellow" if head.waiting else ""


def _workers(head: Head) -> Iterator[tuple[str, str]]:
    there = {state: number for state, number in head.workers.items() if number}
    parts = ", ".join(f"{number} {'warm' if state == 'idle' else state}" for state, number in there.items())
    yield f"workers {sum(there.values())} of {head.workers_limit}{': ' if parts else ''}{parts}", ""


def _resources(head: Head) -> Iterator[tuple[str, str]]:
    if head.store_available:
        yield f"store {latency(head.store_p50)}, 99 % in {latency(head.store_p99)}", ""
    else:
        yield "the store has failed", "bold red"
    yield f"cpu {share(head.cpu)}", ""
    yield f"memory {size(head.memory)}", ""
    if head.transport:
        yield head.transport, "dim"


def _line(parts: Iterator[tuple[str, str]]) -> Text:
    text = Text("  ").join(Text(visible(part), style=style) for part, style in parts)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    width: int
    of: Callable[[AppRow], str]
    wide: bool = False
    """Only where there is room."""


_APP_COLUMNS = (
    _Column("sess", 5, lambda row: count(row.sessions)),
    _Column("busy", 5, lambda row: count(row.busy)),
    _Column("warm", 5, lambda row: count(row.warm)),
    _Column("start", 5, lambda row: count(row.starting), wide=True),
    _Column("shared", 6, lambda row: count(row.shared), wide=True),
    _Column("wait", 5, lambda row: count(row.waiting)),
    _Column("calls/s", 7, lambda row: rate(row.calls)),
    _Column("err/s", 5, lambda row: rate(row.errors)),
    _Column("queue50", 7, lambda row: latency(row.queue_p50), wide=True),
    _Column("queue99", 7, lambda row: latency(row.queue_p99)),
    _Column("work50", 7, lambda row: latency(row.worker_p50)),
    _Column("work99", 7, lambda row: latency(row.worker_p99)),
)


_APP_COLUMNS_TO_DROP = ("work50", "busy", "warm", "err/s", "wait", "queue99", "work99", "sess")
"""Where the narrow ones have no room either; what is least missed is first."""


def _apps(rows: Sequence[AppRow], width: int) -> RenderableType:
    columns = [column for column in _APP_COLUMNS if width >= _WIDE or not column.wide]
    widths = {column.heading: column.width for column in columns}
    kept = _kept(widths, _APP_COLUMNS_TO_DROP, width - _LEAST_APP - 1)
    columns = [column for column in columns if column.heading in kept]
    taken = sum(column.width + 1 for column in columns)
    # The names are as wide as those of the sessions below, if they can be.
    table = _table(("app", max(8, min(_ID, width - taken - 1))))
    for column in columns:
        table.add_column(column.heading, justify="right", width=column.width, no_wrap=True)
    for row in rows:
        cells = [Text(column.of(row), style=_style(column, row)) for column in columns]
        table.add_row(Text(visible(row.name)), *cells)
    return table if rows else Group(Text("no apps are deployed", style="dim"))


def _kept(widths: Mapping[str, int], to_drop: Iterable[str], room: int) -> set[str]:
    """Return the columns that fit, when these are dropped in turn until they do."""
    kept, dropped = set(widths), iter(to_drop)
    while sum(widths[name] + 1 for name in kept) > room:
        name = next(dropped, None)
        if name is None:
            break
        kept.discard(name)
    return kept


def _style(column: _Column, row: AppRow) -> str:
    if column.heading == "err/s" and row.errors:
        return "red"
    if column.heading == "wait" and row.waiting:
        return "yellow"
    return "dim" if column.of(row) in ("·", UNKNOWN) else ""


_SESSION_COLUMNS: tuple[tuple[str, int, Callable[[SessionRow], str], str], ...] = (
    ("age", 6, lambda row: span(row.age), "age"),
    ("idle", 6, lambda row: span(row.idle), "idle"),
    ("left", 6, lambda row: span(row.left), "left"),
    ("calls", 7, lambda row: count(row.calls), "calls"),
    ("/s", 6, lambda row: rate(row.rate), "rate"),
    ("memory", 8, lambda row: size(row.memory), "memory"),
)


_SESSION_COLUMNS_TO_DROP = ("idle", "age", "memory", "left", "calls", "rate")
"""What is least missed is first; what the list is sorted by stays."""


def _sessions(rows: Sequence[SessionRow], width: int, order: Order) -> RenderableType:
    if not rows:
        return Text("no sessions", style="dim")
    columns = _session_columns(width, order)
    taken = _ID + 1 + sum(column[1] + 1 for column in columns)
    with_worker = width - taken > _WIDEST_APP + _WORKER + 1
    room = width - taken - 1 - (_WORKER + 1 if with_worker else 0)
    with_app = room >= _LEAST_SESSION_APP - 1
    id_width = _ID if with_app else max(_LEAST_ID, min(_ID, width - taken + _ID))
    table = _table(("session", id_width), *((("app", min(room, _WIDEST_APP)),) if with_app else ()))
    for heading, wide, _, name in columns:
        style = "bold underline" if name == order.name else "bold"
        table.add_column(Text(heading, style=style), justify="right", width=wide, no_wrap=True)
    if with_worker:
        table.add_column("worker", width=_WORKER, no_wrap=True)
    for row in rows:
        app = [Text(visible(row.app)).append(f"@{visible(row.version)}", style="dim")] if with_app else []
        cells = [*(column[2](row) for column in columns), *([visible(row.worker)] if with_worker else [])]
        table.add_row(visible(row.id), *app, *cells)
    return table


def _session_columns(width: int, order: Order) -> list[tuple[str, int, Callable[[SessionRow], str], str]]:
    to_drop = [name for name in _SESSION_COLUMNS_TO_DROP if name != order.name]
    widths = {name: wide for _, wide, _, name in _SESSION_COLUMNS if width >= _WIDE or name != to_drop[0]}
    kept = _kept(widths, to_drop, width - _ID - 1 - _LEAST_SESSION_APP)
    return [column for column in _SESSION_COLUMNS if column[3] in kept]


def _table(*columns: tuple[str, int]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading, width in columns:
        table.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
    return table


def _more(picture: Picture, shown: int, first: int) -> list[RenderableType]:
    """Return what is to be said about sessions that are not shown, in one line at most."""
    known = len(picture.sessions)
    said = []
    if shown < known:
        shows = f"{first + 1} to {first + shown} of {known}"
        said.append(shows if shown else f"{_counted(known, 'session')}: no room")
    if picture.more:
        said.append(f"the newest {known} only")
    elif picture.head.sessions > known:
        said.append(f"{picture.head.sessions - known} of other callers")
    return [_fit(Text(", ".join(said), style="dim"))] if said else []


def _bottom(picture: Picture, view: View) -> list[RenderableType]:
    lines: list[RenderableType] = []
    if picture.problem:
        lines.append(_one_line(visible(picture.problem), "bold red"))
    if view.keys:
        text = Text("q", style="bold").append(" quit  sort by ", style="not bold dim")
        for order in ORDERS:
            text.append(order.name[0], style="bold").append(order.name[1:], style="not bold dim").append("  ")
        lines.append(_fit(text.append("↑↓ scroll", style="not bold dim")))
    return lines


def _fit(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
