"""Trouble for the store of a gateway, from outside: locks, limits, health as it shows."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.process.observe import DEADLINE

_HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Have another process keep the store locked."""
    command = [sys.executable, "-c", _HOLD, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield
        finally:
            holder.kill()


@contextmanager
def no_file_larger_than(pid: int, size: int) -> Iterator[None]:
    """Have every write of a process beyond so many bytes of a file fail."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


class Health:
    """What a gateway says of its health, each change of it."""

    def __init__(self, watch: Any) -> None:
        self._watch = watch

    async def next(self) -> int:
        """Return the next status that is told, and wait for it."""
        async with asyncio.timeout(DEADLINE):
            return int((await self._watch.read()).status)


@asynccontextmanager
async def watched_health(channel: grpc.aio.Channel) -> AsyncIterator[Health]:
    """Watch the health of a gateway that is serving."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    health = Health(watch)
    try:
        assert await health.next() == SERVING
        yield health
    finally:
        watch.cancel()
