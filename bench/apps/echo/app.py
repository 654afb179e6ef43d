"""Answers with its input: what a call costs without what an app does."""

from typing import Any

from sessiongateway.app import BaseApp


class App(BaseApp):
    """Keeps nothing."""

    async def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return the input."""
        return input
