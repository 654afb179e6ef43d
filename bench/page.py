"""docs/performance.md and its charts, made of the results of the last full run and of what people keep by hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import charts
from bench.figure import Figure
from bench.report import FULL, quantity, sides, verdict
from tools.paths import ROOT

TEMPLATE = ROOT / "bench" / "performance.md"
PAGE = "docs/performance.md"
CHARTS = "docs/performance"


def pages() -> dict[str, str]:
    """Return the text of the page and of each chart by its path from the top of the tree."""
    return render(TEMPLATE.read_text(encoding="utf-8"), json.loads(FULL.read_text(encoding="utf-8")))


def render(template: str, results: Mapping[str, Any]) -> dict[str, str]:
    """Return the same of a template and results. Raises ValueError when the template lacks a place for a part."""
    figures = [Figure(**one) for one in results["figures"]]
    drawn = _charts(figures, results["series"])
    parts = {
        "{{run}}": run_of(results),
        "{{figures}}": table_of(figures),
        "{{left out}}": left_out_of(results),
        "{{charts}}": "\n\n".join(_pictures(drawn, results["series"])),
    }
    page = template
    for place, text in parts.items():
        if place not in page:
            raise ValueError(f"the template has no {place}")
        page = page.replace(place, text)
    return {PAGE: page, **{f"{CHARTS}/{name}.svg": chart for name, _, chart in drawn}}


def progress(one: Figure) -> tuple[float, float | None] | None:
    """Return how far a figure got towards its must, and where its goal is on the same scale; None without a must."""
    if one.must is None:
        return None
    if one.better == "higher":
        return one.value / one.must, None if one.goal is None else one.goal / one.must
    return (
        one.must / one.value if one.value > 0 else float("inf"),
        None if not one.goal else one.must / one.goal,
    )


def _charts(figures: Sequence[Figure], series: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    rows = [
        (short(one.title), *found, verdict(one.ok, one.goal_reached))
        for one in figures
        if (found := progress(one)) is not None
    ]
    drawn = [("targets", "How far each figure got", charts.target_chart(rows))] if rows else []
    return drawn + [(each["name"], each["title"], charts.line_chart(each)) for each in series]


def _pictures(drawn: Sequence[tuple[str, str, str]], series: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the paragraphs of each chart: the picture, and what it says in words."""
    words = {each["name"]: each.get("says", []) for each in series}
    for name, title, _ in drawn:
        yield f"![{title}](performance/{name}.svg)"
        if said := words.get(name):
            yield "\n".join(said)


def short(title: str) -> str:
    """Return a title that fits beside a bar."""
    plain = title.replace("`", "")
    return plain if len(plain) <= 52 else plain[:51].rstrip() + "…"


def run_of(results: Mapping[str, Any]) -> str:
    """Return when, on what and with what the figures were measured."""
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"Measured {results['started_at'].replace('T', ' ').partition('+')[0]} UTC, in {results['seconds']:.0f} s.",
        f"Machine: {machine['processors']} × {machine['processor']}, {machine['memory_gb']} GB, {machine['system']};",
        f"load average before the run: {machine['load_average']}.",
        *results.get("remarks", []),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    return "\n".join(lines)


def table_of(figures: Sequence[Figure]) -> str:
    """Return the table of figures."""
    rows = ["| Figure | Against | Value | Spread | Ours / yardstick's | Must | Goal | Reached |", "|---" * 8 + "|"]
    for one in figures:
        spread = f"{one.low:.3g} – {one.high:.3g}" if one.rounds > 1 else ""
        word = verdict(one.ok, one.goal_reached)
        must, goal = quantity(one.must, one.unit), quantity(one.goal, one.unit)
        cells = [one.title, one.yardstick, quantity(one.value, one.unit), spread, sides(one), must, goal, word]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def left_out_of(results: Mapping[str, Any]) -> str:
    """Return what was left out, and why."""
    left = results["left_out"]
    if not left:
        return "Nothing was left out."
    return "\n".join(["Left out, and why:", "", *(f"- {name}: {reason}" for name, reason in left.items())])
