"""Waiting for what another process brings about, and nothing else announces."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

DEADLINE = float(os.environ.get("TEST_DEADLINE", "20"))
"""Real seconds after which a test that waits has failed: more, by `TEST_DEADLINE=60` in the environment, for a pool
whose workers take seconds to start.
"""


async def until(condition: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Wait until the condition holds. Raises TimeoutError after `deadline` seconds."""
    async with asyncio.timeout(deadline):
        while not condition():  # noqa: ASYNC110  # a process that ends, or a file that goes, sets no event
            await asyncio.sleep(0.002)


def exists(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
