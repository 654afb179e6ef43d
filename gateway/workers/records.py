"""What is kept in a worker's directory of its app, for a gateway that adopts the worker: the version may by then have
been replaced or removed.
"""

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path

from gateway.model import AppRef, AppVersion, Limits, Placement


def read_app(path: Path) -> tuple[AppVersion, frozenset[str]] | None:
    """Return what `app_text` made of it; None when the file is missing or cannot be read."""
    try:
        return app_from(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def app_text(app: AppVersion, functions: Collection[str] = ()) -> str:
    """Return an app version and the names of its functions as JSON."""
    return json.dumps({**dataclasses.asdict(app), "directory": str(app.directory), "functions": sorted(functions)})


def app_from(text: str) -> tuple[AppVersion, frozenset[str]]:
    """Return what `app_text` was given. Raises ValueError, KeyError and TypeError."""
    fields = json.loads(text)
    functions = frozenset(fields.pop("functions"))
    fields["ref"] = AppRef(**fields["ref"])
    fields["directory"] = Path(fields["directory"])
    fields["limits"] = Limits(**fields.get("limits", {}))  # none in what a gateway without limits has noted
    fields["ray"] = Placement(**fields.get("ray", {}))
    return AppVersion(**fields), functions
