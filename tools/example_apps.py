"""Which of the example apps can run here."""

import importlib.util
from pathlib import Path

from tools.paths import ROOT


def example_apps() -> dict[str, Path]:
    """Return the directories of the example apps by name, relative to the tree; `classifier` wants scikit-learn."""
    apps = {path.parent.name: path.parent.relative_to(ROOT) for path in sorted((ROOT / "examples").glob("*/app.py"))}
    if importlib.util.find_spec("sklearn") is None:
        apps.pop("classifier", None)
    return apps
