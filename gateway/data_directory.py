"""The data directory belongs to one gateway at a time, of however many processes."""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TOKEN_KEY = "tokens.key"


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


def token_key(data_dir: Path, size: int) -> bytes:
    """Return the key of the tokens of pages and watches, of `size` bytes: all processes have it, before and after a
    restart. It is drawn when there is none. Raises CannotStart.
    """
    path = data_dir / _TOKEN_KEY
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_once(path, secrets.token_bytes(size))
        key = path.read_bytes()
    except OSError as error:
        raise CannotStart(f"cannot use the data directory {data_dir}: {error.strerror}: {path.name}") from error
    if len(key) != size:
        raise CannotStart(f"{path} is damaged: remove it; tokens of pages and watches that were given are void then")
    return key


def _write_once(path: Path, content: bytes) -> None:
    """Make a file, whole from the start, unless somebody else has made it meanwhile."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)  # noqa: PTH108  # of a name, which mkstemp gives
