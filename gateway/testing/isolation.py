"""How gateways of tests keep their workers: `ISOLATION=user` in the environment has them do it that way."""

import os


def isolation() -> str:
    """Return the value of `workers.isolation` for gateways that tests start. By itself not the default: apps of tests
    meet the tests in directories that are the tests' alone.
    """
    return os.environ.get("ISOLATION", "process")
