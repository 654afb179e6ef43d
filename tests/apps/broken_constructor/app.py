"""An app that cannot be constructed."""

from sessiongateway.app import BaseApp


class App(BaseApp):
    def __init__(self) -> None:
        raise OSError("no device")

    def run(self) -> None:
        """Never be reached."""
