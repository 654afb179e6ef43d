"""The app that misbehaves, under limits, and a neighbour that must not notice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Client
from tests.scenarios.limited import limited

APPS = Path(__file__).parent.parent / "apps"

END_GRACE = 0.5
"""Seconds that unload() gets in these tests."""

FLAGS = ("--min-idle", "0")
ENVIRONMENT = {"SGW_WORKERS_END_GRACE": str(END_GRACE)}


def unruly(directory: Path, **limits: str | float) -> Path:
    """Write the app with these limits, and return its directory."""
    return limited(APPS / "unruly", directory, **limits)


@dataclass
class Neighbour:
    """Calls of another session, one after another."""

    session_id: str
    answers: list[int] = field(default_factory=list)
    slowest: float = 0.0


@asynccontextmanager
async def neighbour(client: Client) -> AsyncIterator[Neighbour]:
    """Call another session of the app all the while, and see that each answer is the right one."""
    opened = await client.new("run")
    found = Neighbour(opened.id)
    ended = asyncio.Event()

    async def calling() -> None:
        while not ended.is_set():
            began = time.monotonic()
            answer = await client.run("run", {"text": "hello"}, session=opened.id)
            found.slowest = max(found.slowest, time.monotonic() - began)
            assert answer.output["text"] == "hello"
            found.answers.append(answer.output["calls"])

    task = asyncio.create_task(calling())
    try:
        yield found
    finally:
        ended.set()
        await task
    assert found.answers == list(range(2, len(found.answers) + 2))
    assert (await client.get(opened.id)).status == pb.SESSION_STATUS_ACTIVE
    await client.end(opened.id)
