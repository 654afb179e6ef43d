"""Apps under limits."""

import json
import shutil
from pathlib import Path


def limited(app: Path, directory: Path, **limits: str | float) -> Path:
    """Copy an app to a directory, with these limits, and return the directory."""
    shutil.copytree(app, directory, ignore=shutil.ignore_patterns("__pycache__"))
    lines = [f"{name} = {json.dumps(value)}" for name, value in limits.items()]
    (directory / "app.toml").write_text("\n".join(["[limits]", *lines]) + "\n")
    return directory
