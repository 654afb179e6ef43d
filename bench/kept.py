"""What is kept of a run: its file, and the pages that are made of it."""

import sys

from bench import page, report, scale_page
from bench.figures import records
from tools.paths import ROOT


def kind_of(cluster: bool, quick: bool, *, whole: bool) -> str:
    """Return the kind of a run; only a whole one, with all of its records, is more than a part."""
    if not whole or (cluster and records.sizes() != records.SIZES):
        return "part"
    return "quick" if quick else "cluster" if cluster else "full"


def write(results: report.Results) -> None:
    """Write the file of this run and, after one that has all that they need, the pages."""
    results.write(report.LATEST)
    file = {"full": report.FULL, "cluster": report.CLUSTER}.get(results.kind)
    needed = scale_page.GROUPS if results.kind == "cluster" else set()
    if missing := needed & results.left_out.keys():
        print(f"{scale_page.PAGE} stays as it is: it needs {' and '.join(sorted(missing))}", file=sys.stderr)
    elif file is not None and not results.failed:
        results.write(file)
        for path, text in {**page.pages(), **scale_page.pages()}.items():
            target = ROOT / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
