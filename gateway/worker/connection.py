"""One connection of a gateway to this worker."""

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.worker.loop import WorkerLoop
from gateway.worker.outcome import Outcome
from gateway.workers.frames import (
    LARGE,
    PARTIAL,
    PARTIAL_OUTPUT,
    PAYLOADS_TO_WORKER,
    RESULT,
    RESULT_OUTPUT,
    SEND_BUFFER,
    FrameError,
    FrameReader,
    encode,
    encode_parts,
    split_payload,
)
from sessiongateway.worker.v1 import worker_pb2 as pb

_READ = 64 * 1024


class Server(Protocol):
    """Who hears of a connection."""

    def connected(self, connection: "Connection") -> None:
        """A gateway is there."""

    def called(self, connection: "Connection", call: pb.Call, payload: bytes) -> None:
        """It has asked for this call, and nothing else came with that."""

    def received(self, connection: "Connection", frames: Sequence[tuple[pb.ToWorker, bytes | None]]) -> None:
        """It has said all this. With a call there is its payload, when that is not in the frame."""

    def disconnected(self, connection: "Connection") -> None:
        """It is gone."""


class Connection:
    """Cuts frames from the stream, and writes frames to it.

    Reads and writes the socket itself: what a transport of asyncio does for one small frame takes longer than the rest
    of a call.
    """

    def __init__(self, server: Server, sock: socket.socket, loop: WorkerLoop) -> None:
        """`sock` is connected and does not block. Belongs to the connection from now on."""
        self._server = server
        self._socket = sock
        self._loop = loop
        self._reader = FrameReader()
        self._unsent: deque[memoryview] = deque()
        self._lost = False
        self._closing = False
        self._closed = asyncio.Event()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        loop.watch(sock.fileno(), self._readable)
        server.connected(self)

    @property
    def open(self) -> bool:
        """Whether anyone reads what is sent."""
        return not (self._lost or self._closing)

    def send(self, frame: pb.FromWorker) -> None:
        """Write one frame, or drop it when the gateway is gone."""
        self._write(encode(frame))

    def send_result(self, call_id: str, outcome: Outcome, *, repeated: bool = False) -> None:
        """Write how a call ended, or drop it when the gateway is gone."""
        # Into the message where it belongs: to make and copy one of its own takes twice as long.
        frame, output = pb.FromWorker(), outcome.output
        result = frame.result
        result.id = call_id
        if repeated:
            result.repeated = True
        if output is None:
            result.failure.CopyFrom(outcome.failure or pb.Failure())
        elif len(output) < LARGE:
            result.output = output
        else:
            self._write(*encode_parts(RESULT, result, RESULT_OUTPUT, output))
            return
        self._write(encode(frame))

    def send_partial(self, call_id: str, output: bytes) -> None:
        """Write a partial output of a call, or drop it when the gateway is gone."""
        partial = pb.Partial(id=call_id)
        if len(output) < LARGE:
            partial.output = output
            self.send(pb.FromWorker(partial=partial))
        else:
            self._write(*encode_parts(PARTIAL, partial, PARTIAL_OUTPUT, output))

    async def close(self) -> None:
        """Flush and close."""
        self._closing = True
        if not self._unsent:
            self._lose()
        await self._closed.wait()

    def _readable(self) -> None:
        try:
            if self._receive():
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        except FrameError as error:
            print(f"the gateway sent {error}", file=sys.stderr)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a worker's connection failed", "exception": error})
        self._lose()

    def _receive(self) -> bool:
        """Read once. Returns whether the gateway is still there."""
        data = self._socket.recv(_READ)
        body = self._reader.whole(data)
        if body is not None and len(body) < LARGE:
            frame = pb.ToWorker.FromString(body)
            if frame.HasField("call"):
                call = frame.call
                self._server.called(self, call, call.payload)
            else:
                self._server.received(self, ((frame, None),))
            return True
        if not data:
            return False
        self._received(self._reader.feed(data))
        while self._reader.has_room:
            with self._reader.room() as room:
                count = self._socket.recv_into(room)
            if not count:
                return False
            self._received(self._reader.filled(count))
        return True

    def _received(self, bodies: Iterable[bytes]) -> None:
        frames = []
        try:
            for body in bodies:
                head, payload = split_payload(body, PAYLOADS_TO_WORKER)
                frames.append((pb.ToWorker.FromString(head), payload))
        finally:
            if frames:
                self._server.received(self, frames)

    def _write(self, head: bytes, payload: bytes = b"") -> None:
        if self._lost or self._closing:
            return
        sent = 0
        try:
            if not self._unsent:
                sent = self._socket.sendmsg((head, payload)) if payload else self._socket.send(head)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._lose_soon()
            return
        if sent < len(head) + len(payload):
            self._keep((head, payload), sent)

    def _keep(self, parts: Iterable[bytes], sent: int) -> None:
        """Send what is left when there is room for it."""
        if not self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._writable)
        for part in parts:
            if sent < len(part):
                self._unsent.append(memoryview(part)[sent:])
            sent = max(0, sent - len(part))

    def _writable(self) -> None:
        try:
            while self._unsent:
                part = self._unsent.popleft()
                sent = self._socket.send(part)
                if sent < len(part):
                    self._unsent.appendleft(part[sent:])
        except (BlockingIOError, InterruptedError):
            self._unsent.appendleft(part)
            return
        except OSError:
            self._lose()
            return
        self._loop.remove_writer(self._socket.fileno())
        if self._closing:
            self._lose()

    def _lose_soon(self) -> None:
        # Not at once: whoever sends may be going through the connections.
        self._closing = True
        self._loop.call_soon(self._lose)

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = True
        self._unsent.clear()
        self._loop.unwatch(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._closed.set()
        self._server.disconnected(self)
