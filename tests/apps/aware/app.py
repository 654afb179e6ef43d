"""An app that tells what it knows of its calls, and how its session ended."""

import subprocess
from pathlib import Path
from typing import Any

from sessiongateway.app import BaseApp, current_call


class App(BaseApp):
    """Writes the reason of its end where its first call says."""

    def __init__(self) -> None:
        self.calls = 0
        self.diary: Path | None = None

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Tell about this call."""
        self.calls += 1
        if "diary" in input:
            self.diary = Path(input["diary"])
        call = current_call()
        return {
            "calls": self.calls,
            "call_id": call.call_id,
            "session_id": call.session_id,
            "time_left": call.time_left(),
        }

    def spawn(self) -> dict[str, Any]:
        """Start a process that does not end by itself."""
        self.child = subprocess.Popen(["sleep", "600"])
        return {"pid": self.child.pid}

    def on_end(self, reason: str) -> None:
        """Note the reason, and that no call is running."""
        try:
            current_call()
            where = "in a call"
        except LookupError:
            where = "in no call"
        self._note(f"on_end {reason} {where}")

    def unload(self) -> None:
        """Note that it comes after on_end()."""
        self._note("unload")

    def _note(self, line: str) -> None:
        if self.diary is not None:
            with self.diary.open("a") as diary:
                diary.write(line + "\n")
