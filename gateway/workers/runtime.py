"""Where the workers' files are, and what a gateway that died left there."""

import contextlib
import hashlib
import os
import signal
import tempfile
from collections.abc import Collection
from pathlib import Path

from gateway.share import WHOLE, Share
from gateway.worker.family import end_families, mark_of
from gateway.worker.process import RUN, WorkerDirectory, start_time
from gateway.workers.containment.users import end_user, user_of, users_of_processes
from gateway.workers.removal import remove_tree

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path (unix(7): sun_path, less its end)."""

_PEER = "peer."
_LIBRARY = "lib."
_WORKER = "wrk_"
_KEEPER = "keeper"

_LONGEST_INSIDE = len("/wrk_0123456789abcdef012345/c/s")
"""The last six are a shard, which one of several gateways has in its ids."""


def runtime_directory(data_dir: Path) -> Path:
    """Return the directory of the workers of this data directory: inside it, or, when its path is too long for the
    sockets, a directory of this user under the temporary one, named after it.
    """
    inside = data_dir.resolve() / RUN
    name = f"sgw-{os.getuid()}-{hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]}"
    last = Path("/tmp") / name  # TMPDIR may be no shorter
    places = (inside, Path(tempfile.gettempdir()) / name)
    return next((place for place in places if len(os.fsencode(place)) + _LONGEST_INSIDE <= MAX_SOCKET_PATH), last)


def prepare_directory(directory: Path) -> None:
    """Make the directory, if it is not there. Raises PermissionError when it is somebody else's."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to another user")


def peer_socket(directory: Path, index: int) -> Path:
    """Return where one of several gateway processes listens to the others."""
    return directory / f"{_PEER}{index}"


def clear_peer_sockets(directory: Path) -> None:
    """Remove the sockets of all gateway processes. Called when none of them runs."""
    for path in directory.glob(f"{_PEER}*"):
        path.unlink(missing_ok=True)


def library(directory: Path, share: Share) -> Path:
    """Return where a process puts what interpreters of apps import of the gateway."""
    return directory / ("lib" if share.count == 1 else f"{_LIBRARY}{share.index}")


class Part:
    """What in the workers' directory one gateway process looks after. Others have theirs in the same directory."""

    def __init__(self, directory: Path, share: Share = WHOLE, generation: str = "") -> None:
        """`generation` names the processes that run at a time."""
        self._directory = directory
        self._share = share
        self._keeper = f"{generation} {share.index}"

    def keep(self, worker_id: str) -> None:
        """Note that a worker is this process's, although its id may say otherwise: it was adopted. Raises OSError."""
        if not self._share.owns(worker_id):
            (self._directory / worker_id / _KEEPER).write_text(self._keeper)

    def has(self, name: str) -> bool:
        """Whether an entry of the directory is this process's to remove."""
        if self._share.count == 1:
            return True
        for prefix in (_PEER, _LIBRARY):
            if name.startswith(prefix):
                number = name.removeprefix(prefix)
                return (
                    prefix == _LIBRARY and number.isdecimal() and int(number) % self._share.count == self._share.index
                )
        if not name.startswith(_WORKER):
            return self._share.index == 0
        with contextlib.suppress(OSError, UnicodeDecodeError):
            keeper = (self._directory / name / _KEEPER).read_text()
            if keeper.split()[0] == self._keeper.split()[0]:
                return keeper == self._keeper
        return self._share.owns(name)


def clear_leftovers(directory: Path, keep: Collection[str] = (), part: Part | None = None) -> None:
    """End the workers that are not to be kept, by their ids, and remove their directories and all else; of that only
    what is in the `part`, if there is one.
    """
    left = [entry for entry in directory.iterdir() if entry.name not in keep and (part is None or part.has(entry.name))]
    for entry in left:
        _kill_group(WorkerDirectory(entry))
    end_families({mark_of(entry.name) for entry in left})
    _end_users(left)
    for entry in left:
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)  # a socket


def _end_users(left: Collection[Path]) -> None:
    users = {user for entry in left if entry.name.startswith(_WORKER) and (user := user_of(entry)) is not None}
    for user in users & users_of_processes() if users else ():
        end_user(user)


def _kill_group(directory: WorkerDirectory) -> None:
    """Kill the group of a worker: the process itself, and what it forked, which may have outlived it."""
    with contextlib.suppress(OSError, ValueError, IndexError, OverflowError):
        pid = int(directory.pid.read_text().split()[0])
        # No other process can have its id for as long as anything is in the group.
        gone = not Path(f"/proc/{pid}").exists()
        if pid > 1 and (gone or recorded_process(directory) == pid):
            os.killpg(pid, signal.SIGKILL)


def recorded_process(directory: WorkerDirectory) -> int | None:
    """Return the process that a worker's directory names, if it still is the one that wrote it there."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = directory.pid.read_text().split()
        if start_time(int(pid)) == int(started):
            return int(pid)
    return None
