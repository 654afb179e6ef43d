"""What two gateway processes say to each other: frames with a kind, the number of a call, and bytes.

One end calls and the other answers; each has a connection of its own to every other one. Processes of one gateway are
always of the same release. Several gateways on one store may not be: what is here changes with `DIALECT` only.
"""

import asyncio
import enum
import struct
from abc import ABC, abstractmethod
from typing import NamedTuple, cast

import grpc

from gateway.rpc.raw import STATUSES, Failure
from gateway.trace import TraceContext
from gateway.workers.frames import FrameError, FrameReader

PART_WINDOW = 256 * 1024
"""Bytes of a stream's answers that are on their way to its reader before the other end waits. One always may be."""

_HEAD = struct.Struct(">IBI")
_AFTER_LENGTH = _HEAD.size - 4
_KIND_AND_NUMBER = struct.Struct(">BI")
_CALL = struct.Struct(">BBd?HH")
_FAILURE = struct.Struct(">BH")
NEVER = -1.0

DIALECT = 1
"""Of frames and methods, for ends that may be of different releases."""


class Kind(enum.IntEnum):
    """What a frame is."""

    CALL = 1
    INPUT = 2
    INPUT_END = 3
    CANCEL = 4
    CREDIT = 5
    ANSWER = 6
    PART = 7
    END = 8
    FAILURE = 9
    NEWS = 10
    """Something happened to sessions of these owners. No call."""
    ROOM = 11
    """Somebody needs room for workers, or has some: look at the board. No call."""
    TABLE = 13
    """Who has what has changed: look at it. No call."""
    NOT_MINE = 12
    """The request is for a session that the receiver does not have. Nothing was done."""


class Flag(enum.IntFlag):
    """What the sender of a call has found out about it."""

    NONE = 0
    HERE = 1
    """It is to be answered by the receiver, and not passed on."""
    PLAIN = 2
    """It is a call without a session."""


class CallFrame(NamedTuple):
    """The body of CALL."""

    method: int
    flags: Flag
    deadline: float | None
    """On the monotonic clock between processes of a machine, which share it; else seconds that are left."""
    principal: str
    data: bytes
    admin: bool = False
    trace: TraceContext | None = None


def pack_call(call: CallFrame) -> bytes:
    """Return the body of CALL but for its data."""
    principal = call.principal.encode()
    deadline = NEVER if call.deadline is None else call.deadline
    trace = b"" if call.trace is None else call.trace.pack()
    head = _CALL.pack(call.method, call.flags, deadline, call.admin, len(principal), len(trace))
    return head + principal + trace


def unpack_call(body: bytes) -> CallFrame:
    """Return what `pack_call` and the data behind it make."""
    method, flags, deadline, admin, length, trace_length = _CALL.unpack_from(body)
    middle = _CALL.size + length
    end = middle + trace_length
    principal, trace = body[_CALL.size : middle].decode(), TraceContext.unpack(body[middle:end])
    until = None if deadline == NEVER else deadline
    return CallFrame(method, Flag(flags), until, principal, body[end:], admin, trace)


def pack_failure(failure: Failure) -> bytes:
    """Return the body of FAILURE."""
    message = failure.message.encode()
    return _FAILURE.pack(failure.status.value[0], len(message)) + message + failure.details


def unpack_failure(body: bytes) -> Failure:
    """Return what `pack_failure` was given."""
    code, length = _FAILURE.unpack_from(body)
    end = _FAILURE.size + length
    status = STATUSES.get(code, grpc.StatusCode.UNKNOWN)
    return Failure(status, body[_FAILURE.size : end].decode(), body[end:])


class Connection(asyncio.Protocol, ABC):
    """One end. Whoever uses it gives `received` and `lost`. All frames of a turn of the loop are one write."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether what is sent may arrive."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                kind, number = _KIND_AND_NUMBER.unpack_from(body)
                self.received(kind, number, body[_AFTER_LENGTH:])
        except (FrameError, struct.error, UnicodeDecodeError):
            self.abort()  # nobody of this gateway wrote that

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost()

    def send(self, kind: Kind, number: int = 0, *parts: bytes) -> None:
        """Send a frame whose body is made of these parts. On a connection that is lost it is dropped."""
        if self._transport is None:
            return
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._write)
        self._unwritten.append(_HEAD.pack(_AFTER_LENGTH + sum(map(len, parts)), kind, number))
        self._unwritten += parts

    def close(self) -> None:
        """Close, once all that was sent is written."""
        self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @abstractmethod
    def received(self, kind: int, number: int, body: bytes) -> None:
        """Take a frame."""

    @abstractmethod
    def lost(self) -> None:
        """Hear that the connection is gone."""

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and self._transport is not None:
            self._transport.write(b"".join(unwritten))
