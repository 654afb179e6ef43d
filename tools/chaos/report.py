"""What a run of chaos has seen, and what it must not have seen."""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """Counts and extremes. Times are in seconds."""

    gateway_kills: int = 0
    gateway_upgrades: int = 0
    worker_kills: int = 0
    sessions: int = 0
    calls: int = 0
    streams: int = 0
    events: int = 0
    """What the watch told of sessions."""
    repeats: int = 0
    """Calls that were sent again under their request_id."""
    wrong_answers: int = 0
    lost_without_reason: int = 0
    early_expiries: int = 0
    run_twice: int = 0
    wrong_events: int = 0
    """Events of the watch that are missing, repeated, out of order or of something that did not happen."""
    orphans: int = 0
    latest_expiry: float = 0.0
    latest_expiry_after_restart: float = 0.0
    """Of sessions that were due while no gateway was there, or when it had just started."""
    slowest_detection: float = 0.0
    slowest_adoption: float = 0.0
    last_start: float = 0.0
    last_stop: float = float("inf")
    """When the present gateway began, and when it was told to stop, in wall-clock seconds."""
    remarks: list[str] = field(default_factory=list)
    """What went wrong, a line each."""

    def wrong(self, counter: str, remark: str) -> None:
        """Count something that must not happen."""
        setattr(self, counter, getattr(self, counter) + 1)
        self.remarks.append(f"{counter}: {remark}")


_MUST_BE_ZERO = ("wrong_answers", "lost_without_reason", "early_expiries", "run_twice", "wrong_events", "orphans")
_MUST_HAPPEN = ("gateway_kills", "gateway_upgrades", "worker_kills", "sessions", "calls", "streams", "events")
_SECONDS = {
    "latest_expiry": 0.5,
    "latest_expiry_after_restart": 3.0,
    "slowest_detection": 0.1,
    "slowest_adoption": 10.0,
}


def figures(tally: Tally) -> list[dict[str, object]]:
    """Return {name, value, unit, must, ok} for each figure."""
    rows: list[dict[str, object]] = []
    for name in (*_MUST_HAPPEN, "repeats"):
        must = "> 0" if name in _MUST_HAPPEN else ""
        value = getattr(tally, name)
        rows.append({"name": name, "value": value, "unit": "count", "must": must, "ok": not must or value > 0})
    for name in _MUST_BE_ZERO:
        value = getattr(tally, name)
        rows.append({"name": name, "value": value, "unit": "count", "must": "0", "ok": value == 0})
    for name, limit in _SECONDS.items():
        value = round(getattr(tally, name), 3)
        rows.append({"name": name, "value": value, "unit": "s", "must": f"<= {limit:g}", "ok": value <= limit})
    return rows


def write(tally: Tally, path: Path) -> bool:
    """Print the figures, write them as JSON, and return whether all are as they must be."""
    rows = figures(tally)
    for row in rows:
        mark = "" if row["ok"] else "   <-- MISSED"
        print(f"{row['name']:<28} {row['value']!s:>10} {row['unit']:<6} {row['must']}{mark}")
    for remark in tally.remarks[:40]:
        print(f"  {remark}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return all(row["ok"] for row in rows)
