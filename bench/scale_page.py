"""docs/scale.md, made of the results of the last `make bench-cluster` and of what people keep by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import charts, page, scale_model
from bench.figure import Figure
from bench.report import CLUSTER, FULL, quantity
from bench.scale_model import Costs, Fleet, Load
from tools.paths import ROOT

TEMPLATE = ROOT / "bench" / "scale.md"
PAGE = "docs/scale.md"
CHART = "docs/performance/records.svg"

GROUPS = {"redis", "records"}
"""Without which there is no page."""

HOUR, DAY, LIFE = 3600.0, 86400.0, 600.0
TIMEOUTS = (60, 300, 900, 3600)
CALLS = (0.0, 1.0, 6.0, 60.0)
"""Of a session, in a minute."""

SHARES = (0.1, 0.5, 0.7, 0.9)
MIXES = (
    (2, 0.0, 1, "2 gateways, calls"),
    (8, 0.0, 1, "8 gateways, calls"),
    (2, 0.5, 100, "2 gateways, half keepalives, 100 in a message"),
    (2, 0.5, 1000, "2 gateways, half keepalives, 1,000 in a message"),
)
"""What is simulated: gateways of a prefix, the part of the work that is keepalives, how many in a message, in words."""

FLEETS = tuple(
    Fleet(sessions, timeout, calls, LIFE, retention, 0.0)
    for sessions in (1_000_000, 100_000_000)
    for timeout, calls, retention in ((60.0, 6.0, DAY), (300.0, 6.0, HOUR), (900.0, 1.0, HOUR))
)
"""How they live: at the defaults and called every ten seconds, and two that take more care."""


def pages() -> dict[str, str]:
    """Return the text of the page and of its chart by their paths from the top of the tree."""
    return render(TEMPLATE.read_text(encoding="utf-8"), _read(CLUSTER), _read(FULL))


def render(template: str, cluster: Mapping[str, Any], full: Mapping[str, Any]) -> dict[str, str]:
    """Return the same of a template and results. Raises ValueError when the template lacks a place for a part."""
    cost = scale_model.costs(cluster, full)
    (series,) = (each for each in cluster["series"] if each["name"] == "records")
    parts = {
        "{{run}}": page.run_of(cluster),
        "{{figures}}": page.table_of([Figure(**one) for one in cluster["figures"]]),
        "{{left out}}": page.left_out_of(cluster),
        "{{charts}}": f"![{series['title']}](performance/records.svg)",
        "{{needs}}": _needs(cost),
        "{{prefix}}": _prefix(cost),
        "{{waits}}": _waits(cost),
        "{{more_when_finished}}": f"{cost.finished_bytes:,.0f}",
        "{{redis_gb}}": f"{scale_model.REDIS_GB:g}",
        "{{node_gb}}": f"{scale_model.NODE_GB:g}",
        "{{worker_mb}}": f"{cost.worker_mb:.3g}",
        "{{node_used}}": f"{100 * scale_model.NODE_USED:.0f}",
        "{{gateway_call_us}}": f"{cost.gateway_call:.0f}",
        "{{gateway_keepalive_us}}": f"{cost.gateway_keepalive:.1f}",
        "{{life}}": f"{LIFE / 60:g}",
        "{{trip}}": f"{1e3 * scale_model.TRIP:g}",
        "{{thousand_ms}}": f"{cost.redis_keepalive:.0f}",
        "{{run_us}}": f"{cost.run:.0f}",
    }
    text = template
    for place, part in parts.items():
        if place not in text:
            raise ValueError(f"the template has no {place}")
        text = text.replace(place, part)
    return {PAGE: text, CHART: charts.line_chart(series)}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _needs(cost: Costs) -> str:
    rows = []
    for fleet in FLEETS:
        has = scale_model.needs(_with_worker(fleet, cost), cost)
        kept = "a day" if fleet.retention == DAY else "an hour"
        rows.append(
            [
                f"{fleet.sessions / 1e6:g} million, {fleet.timeout:g} s, {fleet.calls_per_minute:g} a minute, {kept}",
                quantity(has.keepalives, ""),
                quantity(has.calls, ""),
                quantity(has.opened, ""),
                quantity(has.redis_cores, ""),
                quantity(has.redis_gb, ""),
                f"{has.prefixes:,} ({has.bound_by})",
                f"{has.gateways:,}",
                f"{has.nodes:,}",
            ]
        )
    return table(
        [
            "Live sessions, timeout, calls of each, kept when finished",
            "Keepalives/s",
            "Calls/s",
            "Opened/s",
            "Cores of Redis",
            "GB of Redis",
            "Prefixes (bound by)",
            "Gateways",
            "Nodes for workers",
        ],
        rows,
    )


def _prefix(cost: Costs) -> str:
    rows = []
    for timeout in TIMEOUTS:
        row = [f"{timeout} s"]
        for calls in CALLS:
            like = Fleet(1_000_000, timeout, calls, LIFE, HOUR, cost.worker_mb)
            count, stopped_by = scale_model.sessions_of_a_prefix(cost, like)
            row.append(f"{_two_digits(count):,} ({stopped_by})")
        rows.append(row)
    heading = ["Timeout", *(f"{calls:g} calls a minute" if calls != 1 else "1 call a minute" for calls in CALLS)]
    return table(heading, rows)


def _waits(cost: Costs) -> str:
    rows = []
    for gateways, kept_alive, ids, words in MIXES:
        for share in SHARES:
            load = Load(share, kept_alive=kept_alive, ids=ids, gateways=gateways)
            found = scale_model.simulated(cost, load)
            calls = share * (1 - kept_alive) * 1e6 / cost.redis_call
            row = [words, f"{share:.2f}", quantity(calls, ""), f"{found.busy:.2f}", f"{found.in_a_run:.1f}"]
            rows.append([*row, f"{found.median_ms:.2f} ms", f"{found.p99_ms:.2f} ms"])
    heading = ["Load", "Offered", "Calls/s", "Redis busy", "Operations of a run", "Median", "99th percentile"]
    return table(heading, rows)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows)])


def _with_worker(fleet: Fleet, cost: Costs) -> Fleet:
    return Fleet(
        fleet.sessions, fleet.timeout, fleet.calls_per_minute, fleet.life, fleet.retention, worker_mb=cost.worker_mb
    )


def _two_digits(count: int) -> int:
    """Return a number as exact as it is: nobody should plan by its third digit."""
    return round(count, 2 - len(str(count)))
