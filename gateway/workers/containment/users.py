"""Users for workers: numbers from a range that is this gateway's alone, each of them one worker's at a time."""

import contextlib
import hashlib
import os
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.share import WHOLE, Share
from gateway.timing import FAMILY_PATIENCE

_WORKERS = "wrk_"

_BECOME = """\
import os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
os.execv(sys.argv[2], sys.argv[2:])
"""

LEAST_USER = 1000
"""Below it are the machine's own."""


class NoUsersLeft(Exception):
    """All users of the range are somebody's; the text says so."""


class Block:
    """The users of one zygote: the first is its own, the others are its workers'."""

    def __init__(self, users: "Users", first: int, count: int) -> None:
        self.first = first
        self.count = count
        self._users = users
        self._free = deque(range(first + 1, first + count))
        self._taken = 0
        self._closed = False

    def take(self) -> int:
        """Return a user that is nobody's: the one that has been nobody's for the longest. Raises OSError."""
        if not self._free:
            raise OSError("this app has no users left for its workers")
        self._taken += 1
        return self._free.popleft()

    def give_back(self, user: int) -> None:
        """A user is nobody's any more: no process and no file is its."""
        self._free.append(user)
        self._taken -= 1
        self._leave()

    def close(self) -> None:
        """The zygote has ended. Its workers may be there still."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        if self._closed and not self._taken:
            self._users.blocks.discard(self.first)


class Users:
    """The whole range, in blocks: a zygote that runs code of its app can become no user of another app."""

    def __init__(self, first: int, last: int, size: int, directory: Path, share: Share = WHOLE) -> None:
        """`size` is the number of users in a block. The workers' directories are in `directory`."""
        self.blocks: set[int] = set()
        """The first users of those that are taken."""
        self._first = first
        self._size = size
        self._share = share
        self._directory = directory
        self._turns = (last - first + 1) // size // share.count
        # Gateways that share a range by mistake seldom begin at the same place.
        digest = hashlib.sha256(os.fsencode(directory)).digest()
        self._start = int.from_bytes(digest[:8], "big")

    def allocate(self) -> Block:
        """Return a block of which nobody is any user. Blocks. Raises NoUsersLeft."""
        busy = {(user - self._first) // self._size for user in (*users_of_processes(), *self._recorded())}
        for turn in range(self._turns):
            number = (self._start + turn) % self._turns * self._share.count + self._share.index
            first = self._first + number * self._size
            if number not in busy and first not in self.blocks:
                self.blocks.add(first)
                return Block(self, first, self._size)
        raise NoUsersLeft("all of workers.user_range is taken: make it larger, or run fewer apps")

    def _recorded(self) -> Iterator[int]:
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith(_WORKERS):
                    user = user_of(Path(entry.path))
                    if user is not None:
                        yield user


def user_of(directory: Path) -> int | None:
    """Return the user that the worker of this directory is, None if it is the gateway's."""
    try:
        status = directory.stat()
    except OSError:
        return None
    # Only such a directory is open to a group: see OwnUsers.prepare.
    return status.st_gid if status.st_mode & stat.S_IXGRP and status.st_gid >= LEAST_USER else None


def users_of_processes() -> set[int]:
    """Return the users that have processes, other than dead ones."""
    found: set[int] = set()
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name[0].isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    status = Path(entry.path, "status").read_bytes()
                    if status.partition(b"\nState:\t")[2][:1] not in b"ZX":
                        found.update(map(int, status.partition(b"\nUid:")[2].split(b"\n", 1)[0].split()))
    return found


def as_user(user: int, command: Sequence[str]) -> list[str]:
    """Return the command that runs another one, named by its path, as a user."""
    # subprocess's own way forks without a new program first, which does not go well with gRPC in this process.
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(user), *command]


def end_user(user: int) -> None:
    """Kill all processes of a user, in one step, so that none can fork meanwhile. Blocks. For root."""
    until = time.monotonic() + FAMILY_PATIENCE
    while time.monotonic() < until and user in users_of_processes():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                as_user(user, ["/bin/sh", "-c", "kill -KILL -1"]),
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=FAMILY_PATIENCE,
                check=False,
            )
