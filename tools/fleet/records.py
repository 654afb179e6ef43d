"""A Redis for the records of gateways, which can be killed: what it has acknowledged is in its log."""

import random
import time
from pathlib import Path

from gateway.testing.redis_server import PROGRAMS, RedisProcess, redis_program
from tools.fleet.missing import Missing

# Nothing is answered before it is on the disk: else a kill may lose what was acknowledged in the last second.
_DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class RedisRecords:
    """A real server with an append-only file."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory. Raises Missing."""
        if redis_program() is None:
            names = " nor ".join(PROGRAMS)
            raise Missing(f"neither {names} is on PATH: install the package redis-server, or valkey-server")
        directory.mkdir(parents=True)
        self._server = RedisProcess(directory, _DURABLE)
        self.url = self._server.url

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.start()

    def restart(self) -> None:
        """Kill it, and start it again after a moment."""
        self._server.kill()
        time.sleep(random.uniform(0.0, 1.0))
        self._server.start()

    def stop(self) -> None:
        """End it. Stopping twice is fine."""
        self._server.stop()
