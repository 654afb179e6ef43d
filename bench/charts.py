"""Charts as SVG, with nothing in them that changes unless the figures do."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 36, 44
_COLOURS = ("#1f77b4", "#999999", "#2ca02c", "#9467bd")
_REACHED = {"missed": "#d62728", "must": "#e0a100", "goal": "#2ca02c"}

_ROW = 22
_LABELS = 330


def line_chart(series: Mapping[str, Any]) -> str:
    """Return the chart of a series as it stands in the results: x logarithmic, y from 0."""
    lines: Mapping[str, Sequence[Sequence[float]]] = series["lines"]
    xs = sorted({x for line in lines.values() for x, _ in line})
    top = nice(max(y for line in lines.values() for _, y in line))
    across, up = _scale(math.log10(xs[0]), math.log10(xs[-1])), HEIGHT - _BOTTOM - _TOP

    def place(x: float, y: float) -> str:
        return f"{_LEFT + across(math.log10(x)):.1f},{HEIGHT - _BOTTOM - y / top * up:.1f}"

    parts = [_text(_LEFT, 20, series["title"], weight="bold")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = HEIGHT - _BOTTOM - share * up
        parts.append(f'<path d="M{_LEFT},{y:.1f} H{WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{share * top:,g}", anchor="end"))
    parts += [_text(_LEFT + across(math.log10(x)), HEIGHT - _BOTTOM + 18, f"{x:,.0f}", anchor="middle") for x in xs]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(place(x, y) for x, y in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in line:
            cx, cy = place(x, y).split(",")
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>')
        parts.append(_text(WIDTH - _RIGHT + 12, _TOP + 14 + 18 * number, name, colour=colour))
    parts.append(_text(_LEFT, HEIGHT - 8, f"{series['x_label']} (across), {series['y_label']} (up)", colour="#555"))
    return _svg(HEIGHT, parts)


def target_chart(rows: Iterable[tuple[str, float, float | None, str]]) -> str:
    """Return bars: each row is a title, how far it got towards what it must (1.0: just there), the same of its goal,
    and the word for what it has reached. Bars end at 4.0.
    """
    found = list(rows)
    parts = [_text(0, 16, "How far each figure got: 1 is what it must, the tick is the goal", weight="bold")]
    span = (WIDTH - _LABELS - 20) / 4

    def at(share: float) -> float:
        return _LABELS + min(share, 4.0) * span

    for number, (title, share, goal, word) in enumerate(found):
        y = 30 + number * _ROW
        colour = _REACHED[word]
        parts.append(_text(_LABELS - 8, y + 12, title, anchor="end"))
        parts.append(f'<rect x="{_LABELS}" y="{y}" width="{at(share) - _LABELS:.1f}" height="15" fill="{colour}"/>')
        if goal is not None and goal <= 4:
            parts.append(f'<path d="M{at(goal):.1f},{y - 2} V{y + 17}" stroke="#333" stroke-width="2"/>')
    bottom = 30 + len(found) * _ROW
    parts.append(f'<path d="M{at(1.0):.1f},26 V{bottom}" stroke="#333" stroke-dasharray="3 3"/>')
    return _svg(bottom + 8, parts)


def nice(value: float) -> float:
    """Return the least of 1, 2, 4, 5, 8 times a power of ten that is not below a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * (1 - 1e-9))


def _scale(low: float, high: float) -> Any:
    width = WIDTH - _LEFT - _RIGHT - 20
    return lambda x: 10 + (width * (x - low) / (high - low) if high > low else 0.0)


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" fill="{colour}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _svg(height: int, parts: Iterable[str]) -> str:
    return "".join(_document(height, parts))


def _document(height: int, parts: Iterable[str]) -> Iterator[str]:
    head = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    yield f'<svg {head} font-family="sans-serif" font-size="12">\n'
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
    for part in parts:
        yield f"{part}\n"
    yield "</svg>\n"
