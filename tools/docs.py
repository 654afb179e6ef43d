"""Writes the generated pages of docs/: `make docs`; with --check, only says which are out of date."""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial

from bench import page, scale_page
from tools import docs_configuration, docs_errors
from tools.paths import ROOT


def _performance(path: str) -> str:
    return page.pages()[path]


def _scale(path: str) -> str:
    return scale_page.pages()[path]


# Path from the top of the tree, and what gives its text.
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/configuration.md": docs_configuration.render,
    "docs/errors.md": docs_errors.render,
    **{path: partial(_performance, path) for path in page.pages()},
    **{path: partial(_scale, path) for path in (scale_page.PAGE, scale_page.CHART)},
}


def outdated() -> list[str]:
    """Return the paths of the pages that are missing or not what their sources give."""
    return [
        path
        for path, render in PAGES.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != render()
    ]


def main() -> int:
    """Write the pages, or check them, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    check = parser.parse_args().check
    for path in outdated():
        if check:
            print(f"{path}: out of date, run: make docs", file=sys.stderr)
        else:
            (ROOT / path).parent.mkdir(exist_ok=True)
            (ROOT / path).write_text(PAGES[path](), encoding="utf-8")
            print(f"wrote {path}")
    return 1 if check and outdated() else 0


if __name__ == "__main__":
    sys.exit(main())
