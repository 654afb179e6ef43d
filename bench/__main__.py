"""`make bench`, `make bench-quick` and `make bench-cluster`: measures, prints the table, and writes what was found.

Ends with 0 when everything could be measured, however good it is, and with 1 when something went wrong.
"""

import argparse
import datetime
import sys
from pathlib import Path

from gateway import process_environment

process_environment.apply()

# What apply() sets is read when grpc is loaded.
from rich.console import Console  # noqa: E402

from bench import context, kept, machine, report  # noqa: E402
from bench.load import LoadGenerator  # noqa: E402
from bench.run import CLUSTER, GROUPS, measure  # noqa: E402
from tools.paths import ROOT  # noqa: E402

_WIDTH = 150
"""Columns of what is written into a file."""

GENERATOR = ROOT / "build" / "bench" / "load"


def main() -> int:
    """Measure what is asked for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most telling figures, in fewer rounds")
    parser.add_argument("--cluster", action="store_true", help="stores and pools that several gateways can share")
    parser.add_argument(
        "--only", action="append", choices=[*GROUPS, *CLUSTER], help="measure this group only; repeatable"
    )
    parser.add_argument("--load", type=Path, default=GENERATOR, help="the load generator")
    asked = parser.parse_args()
    if not asked.load.exists():
        print(f"bench: there is no load generator at {asked.load}; make bench-quick builds it", file=sys.stderr)
        return 1
    settings = context.quick() if asked.quick else context.full()
    known = CLUSTER if asked.cluster else GROUPS
    groups = asked.only or [name for name, (_, in_quick) in known.items() if in_quick or not settings.quick]
    if unknown := set(groups) - known.keys():
        parser.error(f"there is no {' or '.join(sorted(unknown))} in this: it has {', '.join(known)}")
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    results = report.Results(
        kind=kept.kind_of(asked.cluster, asked.quick, whole=not asked.only),
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=machine.machine(),
        versions=machine.versions(),
        settings=settings.as_json(),
    )
    bench = context.Bench(settings, LoadGenerator(asked.load), lambda text: console.print(text, markup=False))
    if results.machine["load_average"] > results.machine["processors"] / 4:
        results.remarks.append(
            "Something else kept the machine busy, so figures are worse than they could be, and differ more."
        )
        bench.note(results.remarks[0])
    measure(bench, groups, results, known)
    report.show(console, results.figures, results.left_out, results.failed)
    kept.write(results)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
