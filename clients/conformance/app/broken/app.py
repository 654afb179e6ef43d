"""An app that cannot be started."""

from sessiongateway.app import BaseApp


class App(BaseApp):
    """Its device is not there."""

    def __init__(self) -> None:
        raise OSError("no device")

    def run(self) -> None:
        """Nobody gets here."""
