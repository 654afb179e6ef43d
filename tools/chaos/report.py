"""The figures of a run: what each must be, on the screen and as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.chaos.tally import Tally

MUST_BE_ZERO = (
    "wrong_answers",
    "lost_without_reason",
    "early_expiries",
    "living_on",
    "without_a_word",
    "run_twice",
    "run_unasked",
    "wrong_events",
    "orphans",
)
MUST_HAPPEN = ("sessions", "calls", "streams", "bursts", "expiries", "kept", "events")

Row = dict[str, Any]

_SHOWN = 40
"""Remarks that are printed; one fault often makes hundreds of them."""


def figures(tally: Tally, strikes: Sequence[str], limits: Mapping[str, float]) -> list[Row]:
    """Return {name, value, unit, must, ok} for each figure. `strikes` are the kinds that must have been, `limits` the
    seconds that the extremes of the tally may reach.
    """
    counts = {name: tally.strikes[name] for name in strikes} | {name: getattr(tally, name) for name in MUST_HAPPEN}
    rows = [_row(name, value, "count", "> 0", ok=value > 0) for name, value in counts.items()]
    rows.append(_row("repeats", tally.repeats, "count", "", ok=True))
    if "slowest_node_detection" in limits:  # of so many, which is chance: no node need have had a session
        rows.append(_row("node_losses", tally.node_losses, "count", "", ok=True))
    for name in MUST_BE_ZERO:
        value = getattr(tally, name)
        rows.append(_row(name, value, "count", "0", ok=value == 0))
    for name, limit in limits.items():
        value = round(getattr(tally, name), 3)
        rows.append(_row(name, value, "s", f"<= {limit:g}", ok=value <= limit))
    return rows


def show(rows: Sequence[Row], remarks: Sequence[str]) -> bool:
    """Print the figures and what went wrong. Returns whether all is as it must be."""
    for row in rows:
        mark = "" if row["ok"] else "   <-- MISSED"
        print(f"{row['name']:<28} {row['value']!s:>10} {row['unit']:<6} {row['must']}{mark}")
    for remark in remarks[:_SHOWN]:
        print(f"  {remark}")
    return all(row["ok"] for row in rows)


def write(figures: object, path: Path) -> None:
    """Write them as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _row(name: str, value: float, unit: str, must: str, *, ok: bool) -> Row:
    return {"name": name, "value": value, "unit": unit, "must": must, "ok": ok}
