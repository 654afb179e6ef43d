"""The files of a SQLite database as the file system sees them: whether they are still there, and moving them about.

They are never opened here while a connection uses them: closing any descriptor of a file drops the locks that SQLite
holds on it in this process (sqlite.org/howtocorrupt.html, section 2.2).
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.stores.base import StoreFailure, StoreProblem

SIDECARS = ("-wal", "-shm")


class DatabaseFiles:
    """One database: the file, its write-ahead log and the index of that."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """`shared`: other processes of this gateway use it too, and one may come to recover it while another does."""
        self.path = path
        self._lock = beside(path, ".lock") if shared else None
        """Held by the process that opens or recovers it, and naming the file that one of them has put in place."""
        self.new = beside(path, ".new")
        """Where a database is built that is to take the place of this one."""
        self._known: dict[Path, tuple[int, int]] = {}
        self._size = 0

    def remember(self) -> None:
        """Take the files as they are now for the right ones: a connection has just opened them."""
        self._known = {}
        for path in self._all():
            with contextlib.suppress(FileNotFoundError):
                self._known[path] = identity(path)
        self._size = self.path.stat().st_size

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes of this gateway from opening and recovering the database. Blocks while one does."""
        if self._lock is None:
            yield
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def replaced_by_sibling(self) -> bool:
        """Whether another process of this gateway has put the file in place that is there now. Called `alone`."""
        if self._lock is None:
            return False
        with contextlib.suppress(OSError):
            found = identity(self.path)
            return found != self._known.get(self.path) and self._lock.read_text() == _named(found)
        return False

    def inspect(self) -> None:
        """Raise StoreFailure (GONE) when a file has been deleted, replaced or cut short: SQLite itself would go on
        writing to what nobody finds again.
        """
        for path, known in self._known.items():
            try:
                found = path.stat()
            except OSError as error:
                raise StoreFailure(StoreProblem.GONE, f"{path.name}: {error.strerror}") from None
            if (found.st_dev, found.st_ino) != known:
                raise StoreFailure(StoreProblem.GONE, f"{path.name} is another file")
            if path == self.path:
                if found.st_size < self._size:
                    raise StoreFailure(StoreProblem.GONE, f"{path.name} has been cut short")
                self._size = found.st_size

    def set_aside(self, label: str) -> Path | None:
        """Put what is at the path, and its sidecars, under a new name. Returns the name, or None if nothing is there.

        The file itself stays at the path too until `put_in_place`, where the file system can give it two names: at
        every moment one of the two is there.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = free_name(beside(self.path, f".{label}-{stamp}"))
        try:
            os.link(self.path, aside)
        except FileNotFoundError:
            pass
        except OSError:
            self.path.rename(aside)
        for suffix in SIDECARS:
            with contextlib.suppress(FileNotFoundError):
                beside(self.path, suffix).rename(beside(aside, suffix))
        return aside if aside.exists() else None

    def set_strangers_aside(self) -> Path | None:
        """Put what somebody put in the place of the file, or made of it, under a new name; remove the sidecars."""
        ours = False
        with contextlib.suppress(FileNotFoundError):
            found = self.path.stat()
            ours = (found.st_dev, found.st_ino) == self._known.get(self.path) and found.st_size >= self._size
        aside = None if ours else self.set_aside("replaced")
        for suffix in SIDECARS:
            beside(self.path, suffix).unlink(missing_ok=True)
        return aside

    def prepare(self) -> None:
        """Make room for building a new database: a start that was broken off may have left one."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (self.new, *(beside(self.new, suffix) for suffix in ("-journal", *SIDECARS))):
            path.unlink(missing_ok=True)

    def put_in_place(self) -> None:
        """Have the new database take the place, in one step that a crash of the machine does not undo."""
        for path in (self.new, self.path.parent):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if path == self.new:
                if self._lock is not None:
                    self._lock.write_text(_named(identity(self.new)))
                self.new.rename(self.path)

    def _all(self) -> list[Path]:
        return [self.path, *(beside(self.path, suffix) for suffix in SIDECARS)]


def beside(path: Path, suffix: str) -> Path:
    """Return the path with something added to its name."""
    return path.with_name(path.name + suffix)


def make_private(path: Path) -> None:
    """Make a database that is not there yet, so that nobody but its user can read it, whatever the umask. SQLite gives
    the same mode to the log beside it. What is there stays as it is; what cannot be made is for SQLite to tell.
    """
    # O_EXCL: of a file that is there no descriptor may be opened and closed.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def free_name(path: Path) -> Path:
    """Return the path, or one with a number, at which there is nothing."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = beside(path, f"-{number}")
    return candidate


def _named(found: tuple[int, int]) -> str:
    return f"{found[0]} {found[1]}"


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from every other one that exists: the device and the inode."""
    found = path.stat()
    return found.st_dev, found.st_ino
