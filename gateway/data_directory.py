"""The data directory belongs to one gateway at a time, of however many processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CannotStart(Exception):
    """The gateway cannot start; the text says why and what to do."""


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: a second gateway on it would end the sessions of the first.

    Processes that are forked meanwhile hold it too, until the last of them has ended. Raises CannotStart.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"cannot use the data directory {data_dir}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotStart(
            f"the data directory {data_dir} is in use by another gateway: stop it, or give this one another --data-dir"
        ) from None
    finally:
        os.close(lock)
