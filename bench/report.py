"""The results: the table on the terminal, and the file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figure import Figure, Series
from tools.paths import ROOT

RESULTS = ROOT / "bench" / "results"
LATEST = RESULTS / "latest.json"
"""Of the last run, whichever kind."""

FULL = RESULTS / "full.json"
"""Of the last full run, from which docs/performance.md is made."""

CLUSTER = RESULTS / "cluster.json"
"""Of the last whole run of `make bench-cluster`, from which docs/scale.md is made."""


@dataclass
class Results:
    """Everything that a run has found."""

    kind: str
    """`quick`, `full`, `cluster`, or `part` when only some figures were asked for."""
    started_at: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    figures: list[Figure] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """What could not be measured on this machine, and why."""
    failed: dict[str, str] = field(default_factory=dict)
    """What could not be measured because something went wrong."""
    remarks: list[str] = field(default_factory=list)
    """Sentences that whoever reads the figures must know, such as what disturbed them."""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the object that is written."""
        return {
            "kind": self.kind,
            "started_at": self.started_at,
            "seconds": round(self.seconds, 1),
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "remarks": self.remarks,
            "figures": [rounded(one.as_json()) for one in self.figures],
            "series": [rounded(one.as_json()) for one in self.series],
            "left_out": self.left_out,
            "failed": self.failed,
        }

    def write(self, path: Path) -> None:
        """Write the file, and its directory if it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """Return the tree with its floats at five significant digits: more is noise, and makes differences hard to read."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


def quantity(value: float | None, unit: str) -> str:
    """Return a number for people, with three significant digits and its unit; "" for None."""
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}"


def verdict(ok: bool | None, goal_reached: bool | None) -> str:
    """Return what a figure has reached, in a word."""
    if ok is None:
        return ""
    return "missed" if not ok else "goal" if goal_reached else "must"


def sides(one: Figure) -> str:
    """Return what was measured on both sides of a ratio, such as `3,450 / 13,900 calls/s`; "" for any other figure."""
    for key, theirs in one.measured.items():
        name = key.removeprefix("yardstick_")
        if name != key and name in one.measured:
            ours = quantity(float(one.measured[name]), "").strip()
            return f"{ours} / {quantity(float(theirs), unit_in(name))}"
    return ""


def unit_in(name: str) -> str:
    """Return the unit that the name of a measured value ends with: `calls_per_s` is in calls/s."""
    thing, per, _ = name.partition("_per_s")
    if per:
        return f"{thing.upper() if thing == 'mb' else thing}/s"
    unit = name.rpartition("_")[2]
    return "µs" if unit == "us" else unit


def show(console: Console, figures: Sequence[Figure], left_out: Mapping[str, str], failed: Mapping[str, str]) -> None:
    """Print the table, and what is not in it."""
    table = Table(title="Session Gateway, measured beside its yardsticks")
    for heading in ("figure", "against"):
        table.add_column(heading)
    for heading in ("value", "least – greatest", "ours / yardstick's", "must", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("reached")
    colours = {"missed": "red", "must": "yellow", "goal": "green", "": ""}
    for one in figures:
        word = verdict(one.ok, one.goal_reached)
        spread = f"{one.low:.3g} – {one.high:.3g}" if one.rounds > 1 else ""
        row = [one.title, one.yardstick, quantity(one.value, one.unit), spread, sides(one)]
        row += [quantity(one.must, one.unit), quantity(one.goal, one.unit)]
        table.add_row(*row, f"[{colours[word]}]{word}[/]" if word else "")
    console.print(table)
    for name, reason in left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False)
    for name, reason in failed.items():
        console.print(f"failed: {name}: {reason}", markup=False)
