"""What is kept in a worker's directory of its app, for a gateway that adopts the worker: the version may by then have
been replaced or removed.
"""

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path

from gateway.model import AppRef, AppVersion, Limits


def write_app(path: Path, app: AppVersion, functions: Collection[str]) -> None:
    """Note the app version of a worker and the names of its functions."""
    fields = {**dataclasses.asdict(app), "directory": str(app.directory), "functions": sorted(functions)}
    path.write_text(json.dumps(fields), encoding="utf-8")


def read_app(path: Path) -> tuple[AppVersion, frozenset[str]] | None:
    """Return what `write_app` noted; None when that is missing or cannot be read."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        functions = frozenset(fields.pop("functions"))
        fields["ref"] = AppRef(**fields["ref"])
        fields["directory"] = Path(fields["directory"])
        fields["limits"] = Limits(**fields.get("limits", {}))  # none in what a gateway without limits has noted
        return AppVersion(**fields), functions
    except (OSError, ValueError, KeyError, TypeError):
        return None
