"""How several processes come to one zygote: by a socket in a directory of its own, which goes with the zygote.

Whoever makes such a directory, removes it, or connects to the socket in it holds the lock of the directory above
meanwhile, so that nobody comes to a zygote that is about to end, and two never make the same one.
"""

import contextlib
import fcntl
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

from gateway.timing import CONTROL_PATIENCE

_SOCKET = "s"


class Gate:
    """The zygote's side: a listening socket, inherited from whoever started the zygote."""

    def __init__(self, listener: socket.socket, directory: Path) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._directory = directory
        self._made = identity(directory)

    def fileno(self) -> int:
        """Return the descriptor to be watched for somebody who comes."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """Return a connection to whoever has come; None if that is gone again. Raises OSError without descriptors."""
        try:
            control, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        control.settimeout(CONTROL_PATIENCE)  # one that does not read must not hold up the others for ever
        return control

    def shut(self) -> bool:
        """Let nobody in any more. Returns False, and changes nothing, if somebody is there, or may be about to come."""
        with contextlib.suppress(FileNotFoundError), locked(self._directory.parent, patient=False) as held:
            if not held or select.select([self._listener], [], [], 0)[0]:
                return False
            self._remove()
        self.close()
        return True

    def refuse(self, answer: bytes) -> None:
        """Let nobody in any more, and tell those who have come why."""
        with contextlib.suppress(FileNotFoundError), locked(self._directory.parent):
            self._remove()
        while (control := self.accept()) is not None:
            with control, contextlib.suppress(OSError):
                control.sendall(answer)
        self.close()

    def close(self) -> None:
        """Close it in this process."""
        self._listener.close()

    def _remove(self) -> None:
        # Unless somebody has cleared it away, and another zygote is there by now.
        if identity(self._directory) == self._made:
            remove(self._directory)


@contextlib.contextmanager
def locked(base: Path, *, patient: bool = True) -> Iterator[bool]:
    """Hold the lock of a directory, for what takes a moment; if not `patient`, say whether it can be had.

    The directory itself is locked: nothing is left of that. Raises OSError.
    """
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if patient else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def knock(directory: Path) -> socket.socket | None:
    """Return a connection to the zygote of that directory; None if there is none. Raises OSError."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        control.connect(str(directory / _SOCKET))
    except (FileNotFoundError, ConnectionRefusedError):
        control.close()
        return None
    except BaseException:
        control.close()
        raise
    return control


def opened(directory: Path) -> socket.socket:
    """Make a directory and the listening socket in it. Raises OSError."""
    directory.mkdir(mode=0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(directory / _SOCKET))
        listener.listen(socket.SOMAXCONN)
    except BaseException:
        listener.close()
        remove(directory)
        raise
    return listener


def identity(directory: Path) -> tuple[int, int] | None:
    """Return what tells the zygote of a directory from the next one; None if there is none."""
    try:
        found = (directory / _SOCKET).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def remove(directory: Path) -> None:
    """Remove such a directory, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        for entry in directory.iterdir():
            entry.unlink()
        directory.rmdir()
