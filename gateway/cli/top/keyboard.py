"""Keys, one at a time, while something else goes on."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator

UP, DOWN, PAGE_UP, PAGE_DOWN, HOME = "up", "down", "page up", "page down", "home"

_SEQUENCES = {
    b"\x1b[A": UP,
    b"\x1bOA": UP,
    b"\x1b[B": DOWN,
    b"\x1bOB": DOWN,
    b"\x1b[5~": PAGE_UP,
    b"\x1b[6~": PAGE_DOWN,
    b"\x1b[H": HOME,
    b"\x1bOH": HOME,
    b"\x1b[1~": HOME,
}


class Keyboard:
    """Standard input as keys, and whatever else wakes whoever waits for one."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)

    @property
    def there(self) -> bool:
        """Whether there are keys at all."""
        return self._input is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Get each key when it is pressed, unechoed. Ctrl-C is not a key: it interrupts."""
        if self._input is None:
            yield
            return
        before = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        try:
            yield
        finally:
            termios.tcsetattr(self._input, termios.TCSAFLUSH, before)

    def wake(self) -> None:
        """Let `keys` return. May be called on any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"!")

    def keys(self, seconds: float) -> list[str]:
        """Wait for keys and return them; none after so long, or when there is something else to do."""
        waited = [self._wake] if self._input is None else [self._wake, self._input]
        ready, _, _ = select.select(waited, [], [], seconds)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._input is None or self._input not in ready:
            return []
        data = os.read(self._input, 1024)
        if not data:
            self._input = None  # the terminal is gone
        return list(keys_of(data))


def keys_of(data: bytes) -> Iterator[str]:
    """Yield the keys that a terminal has sent: a character, or the name of one that has none."""
    while data:
        sequence = next((sequence for sequence in _SEQUENCES if data.startswith(sequence)), None)
        if sequence is not None:
            yield _SEQUENCES[sequence]
            data = data[len(sequence) :]
        elif data.startswith(b"\x1b"):
            return  # one that nobody knows, and where it ends is not known either
        else:
            yield chr(data[0])
            data = data[1:]
