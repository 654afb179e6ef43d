"""Where the workers' files are, and what a gateway that died left there."""

import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

from gateway.worker.process import WorkerDirectory, start_time

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path (unix(7): sun_path, less its end)."""

_LONGEST_INSIDE = len("/wrk_0123456789abcdef/s")


def runtime_directory(data_dir: Path) -> Path:
    """Return the directory of the workers of this data directory: inside it, or, when its path is too long for the
    sockets, a directory of this user under the temporary one, named after it.
    """
    inside = data_dir.resolve() / "run"
    if len(os.fsencode(inside)) + _LONGEST_INSIDE <= MAX_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sgw-{os.getuid()}-{digest}"


def clear_leftovers(directory: Path) -> None:
    """End the workers of a gateway that died and remove their directories; make an empty directory of it.

    Raises PermissionError when the directory is somebody else's.
    """
    remove(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def remove(directory: Path) -> None:
    """End the workers that are recorded in the directory and delete it, if it is there.

    Raises PermissionError when it is somebody else's.
    """
    if not directory.exists():
        return
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to another user")
    for entry in directory.iterdir():
        kill_recorded(WorkerDirectory(entry))
    shutil.rmtree(directory, ignore_errors=True)


def kill_recorded(directory: WorkerDirectory) -> None:
    """Kill the process group that a worker's directory names, if that process is still the one that wrote it."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = directory.pid.read_text().split()
        if start_time(int(pid)) == int(started):
            os.killpg(int(pid), signal.SIGKILL)
