"""An app that says who and where it is."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sessiongateway.app import BaseApp


class App(BaseApp):
    """One instance per worker."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self) -> dict[str, Any]:
        """Count."""
        self.calls += 1
        seen = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return {"calls": self.calls, "user": os.getuid(), "alone": len(seen) == 2}

    def block(self) -> None:
        """Never look up."""
        Path("blocks").touch()
        while True:
            time.sleep(600)

    def die(self, input: dict[str, Any]) -> None:
        """Be killed."""
        os.kill(os.getpid(), input["signal"])

    def leave(self, input: dict[str, Any]) -> None:
        """Exit."""
        sys.exit(input["code"])

    def fill(self, input: dict[str, Any]) -> dict[str, Any]:
        """Write until there is no room, and say how many bytes there was room for, and what was said then."""
        written = 0
        try:
            with Path(input["directory"], "filling").open("wb", buffering=0) as file:
                while written < input["bytes"]:
                    written += file.write(bytes(1 << 20))
        except OSError as error:
            return {"written": written, "error": errno.errorcode[error.errno or 0]}
        return {"written": written, "error": ""}

    def children(self, input: dict[str, Any]) -> dict[str, Any]:
        """Start processes that stay."""
        started = [subprocess.Popen(["sleep", "600"]) for _ in range(input["count"])]
        return {"started": len(started)}
