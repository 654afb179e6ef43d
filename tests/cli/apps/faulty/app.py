"""An app that fails in every way there is."""

import asyncio
import os
import signal
import sys
from typing import Any

from sessiongateway.app import BaseApp


class App(BaseApp):
    """Each function does what its name says."""

    def boom(self) -> None:
        """Raise, with an escape sequence in the text."""
        sys.stdout.write("before the boom\n")
        raise ValueError("no \x1b[31mred")

    def die(self) -> None:
        """Kill the process."""
        os.kill(os.getpid(), signal.SIGKILL)

    async def linger(self) -> None:
        """Take an hour."""
        sys.stdout.write("lingering\n")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            sys.stdout.write("cancelled\n")
            raise

    def where(self) -> dict[str, Any]:
        """Tell the working directory and the names of the environment's variables."""
        return {"directory": os.getcwd(), "environment": sorted(os.environ)}  # noqa: PTH109

    def half_a_pair(self) -> dict[str, Any]:
        """Return text that JSON can only have escaped."""
        return {"text": "\ud83d"}
