"""Which transport the gateways of tests have: `TRANSPORT=grpcio` in the environment has all tests run over that one."""

import os


def transport() -> str:
    """Return the value of `server.transport` for gateways that tests start."""
    return os.environ.get("TRANSPORT", "auto")
