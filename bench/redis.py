"""A Redis of a measurement's own: with its log of every change, within bounds, and gone at the end."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figure import LeftOut
from bench.machine import memory
from gateway.store_settings import StoreSettings
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import PROGRAMS, RedisProcess, redis_program

AS_OPERATED = ("--appendonly", "yes", "--appendfsync", "everysec")
"""What docs/operations.md advises: a crash of the machine loses about a second."""

_SPARE = 2_000_000_000
"""Bytes of memory that the machine keeps besides."""


@contextmanager
def redis(most: int) -> Iterator[RedisProcess]:
    """Run a Redis that takes `most` bytes of memory for its data, on a Unix socket and on loopback.

    Raises LeftOut where there is none, or no memory for it.
    """
    if redis_program() is None:
        raise LeftOut(f"none of {', '.join(PROGRAMS)} is on PATH")
    available = memory("MemAvailable")
    if available < most + _SPARE:
        raise LeftOut(f"of {(most + _SPARE) / 1e9:.0f} GB of memory {available / 1e9:.1f} are available")
    directory = Path(tempfile.mkdtemp(prefix="sgw-bench-"))
    # A log that is written anew in the middle of a round takes the second core from everybody.
    bounds = ("--maxmemory", str(most), "--maxmemory-policy", "noeviction", "--auto-aof-rewrite-percentage", "0")
    try:
        with RedisProcess(directory, (*AS_OPERATED, *bounds), port=_free_port()) as process:
            yield process
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def over_tcp(process: RedisProcess) -> str:
    """Return the address of a Redis on loopback, as gateways on other machines would have one."""
    return f"redis://127.0.0.1:{process.port}"


async def used_memory(process: RedisProcess) -> int:
    """Return the bytes that a Redis has allocated for its data."""
    connection: Connection = await RedisServer(StoreSettings(url=process.url)).connect()
    try:
        said: bytes = await connection.send("INFO", "memory")
    finally:
        await connection.close()
    fields = dict(line.split(":", 1) for line in said.decode().splitlines() if ":" in line)
    return int(fields["used_memory"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
