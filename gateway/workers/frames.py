"""Length-prefixed frames between gateway, zygote and worker: 4 bytes of big-endian length, then one protobuf message.

Not gRPC: through the whole path gRPC over a Unix socket gave less than half the calls per second
(docs/adr/0003-frames-to-the-worker.md).
"""

import struct
from collections.abc import Iterator

from google.protobuf.message import Message

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Far above any payload that the gateway lets through. A length beyond it is not a frame: someone writes garbage."""

_LENGTH = struct.Struct(">I")


_PARTIAL_OVERHEAD = 64
"""An output of no bytes takes room too."""


def partial_cost(output: bytes) -> int:
    """Return what a partial output takes of its call's window, in bytes: both sides must count alike."""
    return len(output) + _PARTIAL_OVERHEAD


class FrameError(Exception):
    """The other side sent what cannot be a frame."""


def encode(message: Message) -> bytes:
    """Return the message as one frame."""
    body = message.SerializeToString()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = _LENGTH.size

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in what has arrived and yield each body that is complete. Raises FrameError."""
        self._buffer += data
        start, buffer = 0, self._buffer
        if len(buffer) < self._need:
            return
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                # Remembered, so that a large frame that comes in small pieces is looked at once, not once a piece.
                self._need = _LENGTH.size + length
                break
            yield bytes(buffer[start + _LENGTH.size : end])
            start = end
            self._need = _LENGTH.size
        del buffer[:start]
