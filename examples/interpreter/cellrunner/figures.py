"""Saves the figures that matplotlib's pyplot has open. matplotlib is never imported here: user code does, or not."""

import itertools
import sys
from pathlib import Path


def save_open_figures(directory: Path) -> None:
    """Save each open figure under a new name, figure-1.png and so on, and close it."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    try:
        for number in pyplot.get_fignums():
            pyplot.figure(number).savefig(_free_name(directory))
    finally:
        pyplot.close("all")


def _free_name(directory: Path) -> Path:
    names = (directory / f"figure-{number}.png" for number in itertools.count(1))
    return next(name for name in names if not name.exists())
