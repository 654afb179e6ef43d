"""An app whose sessions may not live for long."""

from typing import Any

from sessiongateway.app import BaseApp


class App(BaseApp):
    """One instance for each worker."""

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return the input."""
        return input
