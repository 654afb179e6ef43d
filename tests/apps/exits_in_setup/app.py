"""An app whose process ends while it is set up."""

import os

from sessiongateway.app import BaseApp


class App(BaseApp):
    def setup(self) -> None:
        os._exit(42)

    def run(self) -> None:
        """Never be reached."""
