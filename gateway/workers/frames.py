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

_FIELD_HEAD = 6
"""Bytes of a protobuf field before its content: its number with the wire type, and the length as a varint."""

_HAS_LENGTH = 2
"""The wire type of fields with a length."""

_CONTINUED = 0x80
"""Set in every byte of a varint but the last."""


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

    def __init__(self, *, one_field: bool = False) -> None:
        """With `one_field` every message is known to be of one field that has a length of its own. A frame that is yet
        to be completed is then held against that: after some bytes of garbage the reader would otherwise take any four
        for a length, and wait for what never comes.
        """
        self._one_field = one_field
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
                if self._one_field:
                    self._check(buffer[start + _LENGTH.size : start + _LENGTH.size + _FIELD_HEAD], length)
                break
            yield bytes(buffer[start + _LENGTH.size : end])
            start = end
            self._need = _LENGTH.size
        del buffer[:start]

    def _check(self, head: bytearray, length: int) -> None:
        """Raise FrameError if a body of that length cannot begin like this."""
        if len(head) < _FIELD_HEAD:
            self._need = _LENGTH.size + min(length, _FIELD_HEAD)  # too early to tell
            return
        inner, shift, end = 0, 0, 1
        while end < _FIELD_HEAD:
            inner |= (head[end] & 0x7F) << shift
            end, shift = end + 1, shift + 7
            if head[end - 1] < _CONTINUED:
                break
        if head[0] & 7 != _HAS_LENGTH or end + inner != length:
            raise FrameError(f"a frame of {length} bytes whose content has another length")
