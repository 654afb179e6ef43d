"""Feeds each parser FUZZ_INPUTS (default 100,000) inputs and exits non-zero when one does not stand them.

`python -m tools.fuzz NAME...` feeds these only. FUZZ_SEED (default: of the day) has the same inputs made again.
"""

import json
import os
import sys
import time
from collections.abc import Sequence

from tools.fuzz.engine import Tally, play
from tools.fuzz.targets import all_targets
from tools.paths import ROOT

_MUST_BE_ZERO = ("crashes", "hangs", "leaks")


def rows_of(name: str, tally: Tally, wanted: int) -> list[dict[str, object]]:
    """Return {name, value, unit, must, ok} for each figure of a target."""
    rows: list[dict[str, object]] = [
        {"name": f"{name}.inputs", "value": tally.inputs, "unit": "count", "must": f">= {wanted}"}
        | {"ok": tally.inputs >= wanted}
    ]
    for kind in _MUST_BE_ZERO:
        value = getattr(tally, kind)
        rows.append({"name": f"{name}.{kind}", "value": value, "unit": "count", "must": "0", "ok": value == 0})
    return rows


def main(names: Sequence[str]) -> int:
    """Play, print and write build/fuzz.json."""
    wanted = int(os.environ.get("FUZZ_INPUTS", "100000"))
    first_seed = int(os.environ.get("FUZZ_SEED", time.strftime("%Y%m%d")))
    rows: list[dict[str, object]] = []
    with all_targets() as targets:
        unknown = set(names) - {target.name for target in targets}
        if unknown:
            print(f"there is no parser {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in targets)}")
            return 2
        for target in targets:
            if names and target.name not in names:
                continue
            began = time.monotonic()
            tally = play(target, wanted, first_seed)
            rows += rows_of(target.name, tally, wanted)
            bad = ", ".join(f"{kind} {getattr(tally, kind)}" for kind in _MUST_BE_ZERO)
            print(f"{target.name:<16} {tally.inputs:>8} inputs, {bad} ({time.monotonic() - began:.1f} s)", flush=True)
            for remark in tally.remarks:
                print(f"  {remark}", flush=True)
    path = ROOT / "build" / "fuzz.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
