"""Reading of files that say who may call: nobody but root and the gateway's own user may be able to write to them."""

import os
import stat
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
_OTHERS_WRITE = 0o022

Stamp = tuple[int, ...]
"""What of a file changes when it is replaced or written to."""


class NotTrusted(Exception):
    """A file that is not there, cannot be read or is open to others. The text says why, without its name."""


def stamp_of(path: Path) -> Stamp | None:
    """Return what tells whether the file is still the one that was read. None when there is none. Raises NotTrusted."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(error) from None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def content_of(path: Path) -> bytes:
    """Return what is in the file. Raises NotTrusted, also for no file."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise NotTrusted("not a regular file")
            if found.st_mode & _OTHERS_WRITE or found.st_uid not in (0, os.geteuid()):
                raise NotTrusted("others can write to it: make it yours, with mode 0600")
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(error) from None
    if len(content) > MAX_BYTES:
        raise NotTrusted(f"more than {MAX_BYTES} bytes")
    return content


def _unreadable(error: OSError) -> NotTrusted:
    return NotTrusted(error.strerror or "cannot be read")


def _at_once(path: str, flags: int) -> int:
    # Opening a named pipe would wait for somebody to write to it.
    return os.open(path, flags | os.O_NONBLOCK)
