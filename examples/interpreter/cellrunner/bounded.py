"""Text that cannot grow without limit: its beginning and its end are kept, with a note of what was cut between them."""

import codecs
from dataclasses import dataclass

HEAD_BYTES = 48 * 1024
TAIL_BYTES = 16 * 1024
LIMIT_BYTES = HEAD_BYTES + TAIL_BYTES


@dataclass(frozen=True)
class Clipped:
    """Valid Unicode text, with a note inside where bytes were cut, and how many were."""

    text: str
    cut_bytes: int


class BoundedBytes:
    """Takes any number of bytes and keeps the first HEAD_BYTES and the last TAIL_BYTES of them."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""
        room = HEAD_BYTES - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        # Trimmed in large steps: each of them moves the whole tail.
        if len(self._tail) > 4 * TAIL_BYTES:
            self._trim()

    def skip(self, count: int) -> None:
        """Count bytes as cut without having seen them. The head must be full."""
        self._cut += count + len(self._tail)
        self._tail.clear()

    def take(self) -> Clipped:
        """Return what was written, and begin anew."""
        self._trim()
        head, tail, cut = bytes(self._head), bytes(self._tail), self._cut
        self._head.clear()
        self._tail.clear()
        self._cut = 0
        if not cut:
            return Clipped((head + tail).decode(errors="replace"), 0)
        note = f"\n[... {cut} bytes cut ...]\n"
        return Clipped(_whole_characters(head) + note + _from_whole_character(tail), cut)

    def _trim(self) -> None:
        excess = len(self._tail) - TAIL_BYTES
        if excess > 0:
            del self._tail[:excess]
            self._cut += excess


def clipped(text: str) -> str:
    """Bound a text, and escape what UTF-8 cannot carry (lone surrogates)."""
    bounded = BoundedBytes()
    bounded.write(text.encode(errors="backslashreplace"))
    return bounded.take().text


def _whole_characters(data: bytes) -> str:
    # Not final: a character that the cut has split is left out instead of shown as garbage.
    return codecs.getincrementaldecoder("utf-8")(errors="replace").decode(data)


def _from_whole_character(data: bytes) -> str:
    start = next((index for index, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
    return data[start:].decode(errors="replace")
