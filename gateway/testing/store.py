"""Which store the gateways of tests have: `STORE=redis` in the environment has all tests run over a Redis."""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from gateway.testing.redis_server import RedisProcess


def store_for(data_dir: Path) -> dict[str, str]:
    """Return the settings of `store` for a gateway that tests start on a data directory.

    One Redis serves all of them while the tests run. What belongs to a directory has a prefix of its own there.
    """
    if os.environ.get("STORE", "sqlite") == "sqlite":
        return {}
    return {"url": _redis().url, "prefix": hashlib.sha256(bytes(data_dir.absolute())).hexdigest()[:16]}


@functools.cache
def _redis() -> RedisProcess:
    directory = Path(tempfile.mkdtemp(prefix="sgw-redis"))
    redis = RedisProcess(directory)
    redis.start()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(redis.kill)
    return redis
