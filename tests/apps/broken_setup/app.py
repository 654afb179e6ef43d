"""An app that cannot be set up."""

from sessiongateway.app import BaseApp


class App(BaseApp):
    async def setup(self) -> None:
        raise RuntimeError("no model")

    def run(self) -> None:
        """Never be reached."""
