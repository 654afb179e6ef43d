"""Length-prefixed frames between gateway, zygote and worker: 4 bytes of big-endian length, then one protobuf message.

Not gRPC: through the whole path gRPC over a Unix socket gave less than half the calls per second
(docs/adr/0003-frames-to-the-worker.md).
"""

import re
import struct
from collections.abc import Iterator, Mapping
from typing import cast

from google.protobuf.message import Message

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Far above any payload that the gateway lets through. A length beyond it is not a frame: someone writes garbage."""

_LENGTH = struct.Struct(">I")

_FIELD_HEAD = 6
"""Bytes of a protobuf field before its content: its number with the wire type, and the length as a varint."""

_IS_VARINT, _FIXED, _HAS_LENGTH = 0, 1, 2
"""The wire types that our messages have: numbers, doubles, and fields with a length."""

_CONTINUED = 0x80
"""Set in every byte of a varint but the last."""

LARGE = 32 * 1024
"""From so many bytes on a frame gets room of its own to be read into, and its payload is not handed to protobuf, which
would copy it twice each way."""

SEND_BUFFER = 2 * 1024 * 1024
"""What either side asks the kernel to take in before the other has read, in bytes: with the usual 200 KiB a megabyte
takes the two of them five turns each. The kernel gives less where net.core.wmem_max says so."""

CALL, CALL_PAYLOAD = 2, 5
"""The number of `ToWorker.call`, and of the payload in it: fields that are written and cut out by hand."""

RESULT, RESULT_OUTPUT = 3, 2
"""The number of `FromWorker.result`, and of the output in it."""

PARTIAL, PARTIAL_OUTPUT = 4, 2
"""The number of `FromWorker.partial`, and of the output in it."""

PAYLOADS_TO_WORKER = {CALL: CALL_PAYLOAD}
PAYLOADS_FROM_WORKER = {RESULT: RESULT_OUTPUT, PARTIAL: PARTIAL_OUTPUT}
"""Which field of which frame is a payload."""


_PARTIAL_OVERHEAD = 64
"""An output of no bytes takes room too."""


def partial_cost(output: bytes) -> int:
    """Return what a partial output takes of its call's window, in bytes: both sides must count alike."""
    return len(output) + _PARTIAL_OVERHEAD


_MARK_BEGINS, _MARK_ENDS = "\x1e", "\x1f"
_MARK = re.compile(rb"\x1e(call_[0-9a-z]{1,32})(?: ([0-9a-f]{32}))?\x1f")


def mark_of_call(call_id: str, trace_id: str) -> str:
    """Return what a worker writes before each line that a call prints; `trace_id` is empty for none."""
    return f"{_MARK_BEGINS}{call_id} {trace_id}{_MARK_ENDS}" if trace_id else f"{_MARK_BEGINS}{call_id}{_MARK_ENDS}"


def unmarked(line: bytes) -> tuple[bytes, str, str]:
    """Return a line of output without marks, and the call and the trace of the first one, empty for none."""
    if (found := _MARK.search(line)) is None:
        return line, "", ""
    return _MARK.sub(b"", line), found[1].decode(), (found[2] or b"").decode()


class FrameError(Exception):
    """The other side sent what cannot be a frame."""


def encode(message: Message) -> bytes:
    """Return the message as one frame."""
    body = message.SerializeToString()
    return _LENGTH.pack(len(body)) + body


def encode_parts(kind: int, message: Message, field: int, payload: bytes) -> tuple[bytes, bytes]:
    """Return what `encode()` returns for the message whose field `kind` is `message` with `payload` in its field
    `field`, in two parts: the second is the payload, which is not copied.
    """
    inner = message.SerializeToString() + _head(field, len(payload))
    size = len(inner) + len(payload)
    outer = _head(kind, size)
    return _LENGTH.pack(len(outer) + size) + outer + inner, payload


def split_payload(body: bytes | bytearray, payloads: Mapping[int, int]) -> tuple[bytes, bytes | None]:
    """Return a large body without its payload, and that, for which the body is used up. `payloads` says which field of
    which frame is one. What is not as expected stays as it is: protobuf decides what it means.
    """
    try:
        found = _find_payload(body, payloads)
    except IndexError:
        found = None
    if found is None:
        return bytes(body), None
    first, field, start, end = found
    kind, inner = body[0] >> 3, bytes(body[first:field] + body[end:])
    if isinstance(body, bytes):
        payload = body[start:end]
    else:
        # Cuts without a copy.
        del body[end:]
        del body[:start]
        payload = cast(bytes, body)
    return _head(kind, len(inner)) + inner, payload


def _find_payload(body: bytes | bytearray, payloads: Mapping[int, int]) -> tuple[int, int, int, int] | None:
    """Return where in a body the inner message begins, its field with the payload, and the payload, and where that
    ends.
    """
    size, first = _varint(body, 1)
    if body[0] & 7 != _HAS_LENGTH or first + size != len(body):
        return None
    wanted = payloads.get(body[0] >> 3, 0)
    position = first
    while position < len(body):
        field, wire_type = body[position] >> 3, body[position] & 7
        value, after = _varint(body, position + 1)
        if wire_type == _FIXED:
            after = position + 9
        elif wire_type == _HAS_LENGTH:
            if field == wanted and value >= LARGE // 2:
                return (first, position, after, after + value) if after + value <= len(body) else None
            after += value
        elif wire_type != _IS_VARINT or body[position] >= _CONTINUED:
            return None
        position = after
    return None


def _varint(data: bytes | bytearray, position: int) -> tuple[int, int]:
    """Return the number that begins there, and where it ends."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUED:
            return value, position
        shift += 7


def _head(field: int, length: int) -> bytes:
    """Return what comes before the content of a field that has a length."""
    if length < _CONTINUED:
        return bytes((field << 3 | _HAS_LENGTH, length))
    head = bytearray((field << 3 | _HAS_LENGTH,))
    while length >= _CONTINUED:
        head.append(length & 0x7F | _CONTINUED)
        length >>= 7
    head.append(length)
    return bytes(head)


class FrameReader:
    """Cuts a byte stream into the bodies of frames."""

    def __init__(self, *, one_field: bool = False) -> None:
        """With `one_field` every message is known to be of one field that has a length of its own. A frame that is yet
        to be completed is then held against that: after some bytes of garbage the reader would otherwise take any four
        for a length, and wait for what never comes.
        """
        self._one_field = one_field
        self._rest = b""
        """What has come of a frame that is not complete, unless it is large."""
        self._large: bytearray | None = None
        """The body of a large frame, of which so many bytes have come:"""
        self._filled = 0

    def whole(self, data: bytes) -> bytes | None:
        """Return the body when what has arrived is just one frame, which nearly all of them are; else None, and nothing
        is taken in.
        """
        if self._rest or self._large is not None or len(data) < _LENGTH.size:
            return None
        return data[_LENGTH.size :] if len(data) == _LENGTH.unpack_from(data)[0] + _LENGTH.size else None

    @property
    def has_room(self) -> bool:
        """Whether a large frame is being read."""
        return self._large is not None

    def room(self) -> memoryview:
        """Return where the rest of a large frame may be put, as an alternative to `feed()`; to be released before
        `filled()` is called.
        """
        assert self._large is not None
        return memoryview(self._large)[self._filled :]

    def filled(self, count: int) -> Iterator[bytes]:
        """Say that so many bytes were put into `room`. Yields the body if it is complete."""
        assert self._large is not None
        self._filled += count
        if self._filled == len(self._large):
            body, self._large = self._large, None
            yield cast(bytes, body)  # a bytearray, which is read alike, and a copy less

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in what has arrived and yield each body that is complete. Raises FrameError."""
        start = 0
        if self._large is not None:
            start = min(len(data), len(self._large) - self._filled)
            self._large[self._filled : self._filled + start] = memoryview(data)[:start]
            yield from self.filled(start)
        elif self._rest:
            data = self._rest + data
        self._rest = b""
        while len(data) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, start)
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes")
            begin, end = start + _LENGTH.size, start + _LENGTH.size + length
            if len(data) < end:
                if self._one_field:
                    self._check(data[begin : begin + _FIELD_HEAD], length)
                if length >= LARGE and len(data) - begin >= _FIELD_HEAD:
                    self._make_room(memoryview(data)[begin:], length)
                    return
                break
            yield data[begin:end]
            start = end
        self._rest = data[start:]

    def _make_room(self, begun: memoryview, length: int) -> None:
        # Not touched before it is filled: what only claims to be a large frame takes no memory.
        self._large = bytearray(length)
        self._large[: len(begun)] = begun
        self._filled = len(begun)

    def _check(self, head: bytes, length: int) -> None:
        """Raise FrameError if a body of that length cannot begin like this."""
        if len(head) < min(length, _FIELD_HEAD):
            return  # too early to tell
        inner, shift, end = 0, 0, 1
        while end < _FIELD_HEAD:
            inner |= (head[end] & 0x7F) << shift
            end, shift = end + 1, shift + 7
            if head[end - 1] < _CONTINUED:
                break
        if head[0] & 7 != _HAS_LENGTH or end + inner != length:
            raise FrameError(f"a frame of {length} bytes whose content has another length")
