"""Draws the picture for a terminal of some size, with rich."""

from collections.abc import Callable, Iterator, Sequence
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

_AROUND_APPS = 3
"""Lines around the rows of apps: a blank one, headings, how many more."""


def whole(picture: Picture, view: View, width: int) -> RenderableType:
    """Return everything, however long it becomes."""
    lines = [*_head(picture, view), Text(), _apps(picture.apps, width)]
    rows = view.order.sort(picture.sessions)
    return Group(*lines, Text(), _sessions(rows, width, view.order), *_more(picture, len(rows), 0))


def fitted(picture: Picture, view: View, width: int, height: int) -> RenderableType:
    """Return what there is room for: up to half of it apps, the rest sessions."""
    lines: list[RenderableType] = _head(picture, view)
    bottom = _bottom(picture, view)
    room = height - len(lines) - len(bottom)
    apps = max(1, min(len(picture.apps), room // 2 - _AROUND_APPS))
    lines += [Text(), _apps(picture.apps[:apps], width)]
    room -= 2 + max(1, min(apps, len(picture.apps)))
    if hidden := len(picture.apps) - apps:
        lines.append(Text(f"and {hidden} more apps", style="dim"))
        room -= 1
    rows = view.order.sort(picture.sessions)
    fit = max(0, room - 3)
    first = min(view.first, max(0, len(rows) - fit))
    shown = rows[first : first + fit]
    lines += [Text(), _sessions(shown, width, view.order), *_more(picture, len(shown), first)]
    used = 2 + max(1, len(shown)) + len(_more(picture, len(shown), first))
    lines += [Text()] * max(0, room - used)
    return Group(*lines, *bottom)


def _head(picture: Picture, view: View) -> list[RenderableType]:
    head = picture.head
    return [
        _line(_gateway(head, view)),
        _line(_traffic(head)),
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


def _traffic(head: Head) -> Iterator[tuple[str, str]]:
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


def _apps(rows: Sequence[AppRow], width: int) -> RenderableType:
    columns = [column for column in _APP_COLUMNS if width >= _WIDE or not column.wide]
    taken = sum(column.width + 1 for column in columns)
    # The names are as wide as those of the sessions below, if they can be.
    table = _table(("app", max(8, min(_ID, width - taken - 1))))
    for column in columns:
        table.add_column(column.heading, justify="right", width=column.width, no_wrap=True)
    for row in rows:
        cells = [Text(column.of(row), style=_style(column, row)) for column in columns]
        table.add_row(Text(visible(row.name)), *cells)
    return table if rows else Group(Text("no apps are deployed", style="dim"))


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


def _sessions(rows: Sequence[SessionRow], width: int, order: Order) -> RenderableType:
    if not rows:
        return Text("no sessions", style="dim")
    columns = _SESSION_COLUMNS
    if width < _WIDE:
        # What is least missed goes first; what the list is sorted by stays.
        spare = "idle" if order.name != "idle" else "age"
        columns = tuple(column for column in columns if column[3] != spare)
    taken = _ID + 1 + sum(column[1] + 1 for column in columns)
    with_worker = width - taken > _WIDEST_APP + _WORKER + 1
    room = width - taken - 1 - (_WORKER + 1 if with_worker else 0)
    table = _table(("session", _ID), ("app", max(5, min(room, _WIDEST_APP))))
    for heading, wide, _, name in columns:
        style = "bold underline" if name == order.name else "bold"
        table.add_column(Text(heading, style=style), justify="right", width=wide, no_wrap=True)
    if with_worker:
        table.add_column("worker", width=_WORKER, no_wrap=True)
    for row in rows:
        app = Text(visible(row.app)).append(f"@{visible(row.version)}", style="dim")
        cells = [*(column[2](row) for column in columns), *([visible(row.worker)] if with_worker else [])]
        table.add_row(visible(row.id), app, *cells)
    return table


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
        said.append(f"{first + 1} to {first + shown} of {known}" if shown else f"{known} sessions")
    if picture.more:
        said.append(f"the newest {known} only")
    elif picture.head.sessions > known:
        said.append(f"{picture.head.sessions - known} of other callers")
    return [Text(", ".join(said), style="dim")] if said else []


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
