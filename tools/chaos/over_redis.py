"""The scene of `STORE=redis make chaos`: one gateway whose records are in a Redis, and both are killed."""

import time
from pathlib import Path

from tools.chaos.one_gateway import OneGateway
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.fleet.records import RedisRecords

_CATCH_UP = 1.0
"""Seconds in which the gateway finds Redis again, for which it looks at intervals."""


class OverRedis(OneGateway):
    """`sgw serve --store redis://...`, its workers, and the Redis."""

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles) -> None:
        """Raises Missing."""
        self._redis = RedisRecords(scratch / "redis")
        self.environment = {"SGW_STORE_URL": self._redis.url}
        super().__init__(scratch, tally, troubles)
        self.strikes["redis_kills"] = self._kill_redis

    def start(self) -> None:
        """Start Redis and the gateway."""
        self._redis.start()
        super().start()

    def stop(self) -> None:
        """Stop the gateway and Redis."""
        try:
            super().stop()
        finally:
            self._redis.stop()

    def _kill_redis(self) -> bool:
        with self.troubles.trouble():
            self._redis.restart()
            time.sleep(_CATCH_UP)
        return True
