"""The gateway's end of a connection to one worker: frames out, replies in."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import cast

from google.protobuf.message import DecodeError

from gateway.errors import GatewayError, RunState, WorkerExit
from gateway.model import AppRef, new_call_id
from gateway.workers.base import PendingCall, WorkerCall
from gateway.workers.frames import (
    CALL,
    CALL_PAYLOAD,
    LARGE,
    PAYLOADS_FROM_WORKER,
    SEND_BUFFER,
    FrameError,
    FrameReader,
    encode,
    encode_parts,
    partial_cost,
    split_payload,
)
from gateway.workers.replies import call_error, lost_error, oversize_error
from sessiongateway.worker.v1 import worker_pb2 as pb

PARTIALS_WINDOW = 256 * 1024
"""Bytes of one call's outputs that are on their way to its reader before the function is made to wait. One output
always may be: with that, memory is bounded."""


class SentCall(PendingCall):
    """A call on its way."""

    def __init__(self, connection: "WorkerConnection", call_id: str, call: WorkerCall) -> None:
        super().__init__(call)
        self.overdue: GatewayError | None = None
        """What to answer with when its worker is gone because of it."""
        self._connection = connection
        self._call_id = call_id
        if call.partials is not None:
            call.partials.attach(self._passed_on, self._unread)

    def cancel(self) -> None:
        if not self.done:
            self._connection.send(pb.ToWorker(cancel=pb.Cancel(id=self._call_id)))

    def partial(self, output: bytes) -> None:
        """The function has yielded this."""
        partials = self.call.partials
        if partials is None or self.reply.done():
            return
        if 0 < self.call.max_output < len(output):
            self.abandon(oversize_error(self._connection.app, self.call, len(output), partial=True))
        else:
            partials.put(output)

    def _passed_on(self, output: bytes) -> None:
        if not self.done:
            self._connection.send(pb.ToWorker(credit=pb.Credit(id=self._call_id, bytes=partial_cost(output))))

    def _unread(self) -> None:
        if not self.done:
            self._connection.send(pb.ToWorker(credit=pb.Credit(id=self._call_id, gone=True)))


class WorkerConnection(asyncio.Protocol):
    """Matches replies with calls. What it sees of the worker's life it tells the three callbacks."""

    def __init__(
        self,
        worker_id: str,
        app: AppRef,
        *,
        on_ready: Callable[[pb.Ready], object],
        on_failed: Callable[[pb.Failure], object],
        on_broken: Callable[[], object],
    ) -> None:
        self.ahead = 0.0
        """Seconds by which this machine's clock is ahead of the worker's, which may be on another one."""
        self._worker_id = worker_id
        self.app = app
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._on_broken = on_broken
        self._reader = FrameReader(one_field=True)
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._calls: dict[str, SentCall] = {}
        self._exit: WorkerExit | None = None
        self._held: list[bytes] | None = None
        """What is to be sent as soon as there is a connection, if that is to be kept until then."""

    def hold(self) -> None:
        """Keep what is sent until there is a connection: the worker is there, and has yet to let anyone in."""
        self._held = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            if transport.get_extra_info("ssl_object") is None:
                self._descriptor = sock.fileno()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if self._held is not None:
            self._transport.writelines(self._held)
            self._held = None
        if self._exit is not None:
            self.abort()  # it has ended while this was made

    def data_received(self, data: bytes) -> None:
        try:
            body = self._reader.whole(data)
            if body is not None and len(body) < LARGE:
                self._received(pb.FromWorker.FromString(body), None)
                return
            for body in self._reader.feed(data):
                head, payload = split_payload(body, PAYLOADS_FROM_WORKER)
                self._received(pb.FromWorker.FromString(head), None if payload is None else bytes(payload))
        except (FrameError, DecodeError):
            # An app wrote to the worker's socket. What it is in the middle of can no longer be told.
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_broken()

    def start(self, call: WorkerCall) -> SentCall:
        """Send a call. On a worker that is lost it fails at once, as not started."""
        call_id = call.call_id or new_call_id()
        sent = SentCall(self, call_id, call)
        if self._exit is not None:
            sent.finish(lost_error(self._worker_id, self._exit, RunState.NOT_STARTED))
            return sent
        self._calls[call_id] = sent
        frame = pb.Call(
            id=call_id,
            session_id=call.session_id,
            epoch=call.epoch,
            function=call.function,
            format=pb.PAYLOAD_FORMAT_STRUCT if call.as_struct else pb.PAYLOAD_FORMAT_JSON,
            request_id=call.request_id,
            fingerprint=call.fingerprint,
            deadline=call.deadline - self.ahead if call.deadline else 0.0,
            expected_calls=call.expected_calls,
            max_output=call.max_output,
            window=PARTIALS_WINDOW if call.partials is not None and not call.partials.closed else 0,
        )
        if (trace := call.trace) is not None:
            frame.traceparent, frame.tracestate, frame.baggage = trace.traceparent, trace.tracestate, trace.baggage
        if len(call.payload) < LARGE:
            frame.payload = call.payload
            self.send(pb.ToWorker(call=frame))
        elif self._transport is not None:
            self._transport.writelines(encode_parts(CALL, frame, CALL_PAYLOAD, call.payload))
        elif self._held is not None:
            self._held += encode_parts(CALL, frame, CALL_PAYLOAD, call.payload)
        return sent

    def resume(self, call_id: str) -> SentCall:
        """Wait for the end of a call that another gateway started."""
        self._calls[call_id] = SentCall(self, call_id, WorkerCall("", b"", call_id=call_id))
        return self._calls[call_id]

    def send(self, frame: pb.ToWorker) -> None:
        """Write one frame. On a broken connection it is dropped: the worker's end answers every call."""
        if self._transport is not None:
            self._write(self._transport, encode(frame))
        elif self._held is not None:
            self._held.append(encode(frame))

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write at once what the loop would write at the end of its turn: the worker begins while the gateway goes on
        with the next call.
        """
        # A transport that is closing may have given its descriptor back, and another one may have it by now.
        if self._descriptor >= 0 and not transport.is_closing() and transport.get_write_buffer_size() == 0:
            try:
                sent = os.write(self._descriptor, data)
            except OSError:
                sent = 0  # full, or broken, which the transport finds out by itself
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)

    def worker_exited(self, exit_: WorkerExit) -> None:
        """Take in what it said last, and answer every other call in flight: the process is gone."""
        self._exit = exit_
        self._read_rest()
        self.abort()
        calls, self._calls = self._calls, {}
        for sent in calls.values():
            sent.finish(sent.overdue or lost_error(self._worker_id, exit_, RunState.UNKNOWN))

    def _read_rest(self) -> None:
        # The news of its end may come before what it wrote itself, an answer or why it cannot start.
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        if sock is not None and self._descriptor >= 0:  # what comes through TLS only the transport can read
            with contextlib.suppress(OSError):  # nothing more; or it is closed already
                while data := os.read(sock.fileno(), LARGE):
                    self.data_received(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _received(self, frame: pb.FromWorker, payload: bytes | None) -> None:
        """Act on one frame. `payload` is the output in it, if that was cut out."""
        kind = frame.WhichOneof("frame")
        if kind == "result":
            self._answer(frame.result, payload)
        elif kind == "partial":
            sent = self._calls.get(frame.partial.id)
            if sent is not None:
                sent.partial(frame.partial.output if payload is None else payload)
        elif kind == "ready":
            self._on_ready(frame.ready)
        elif kind == "failed":
            self._on_failed(frame.failed)

    def _answer(self, result: pb.Result, payload: bytes | None) -> None:
        sent = self._calls.pop(result.id, None)
        if sent is None:
            return
        repeated = result.repeated
        if payload is None and result.WhichOneof("outcome") == "failure":
            sent.finish(call_error(self.app, self._worker_id, sent.call, result.failure), repeated=repeated)
            return
        output = result.output if payload is None else payload
        if 0 < sent.call.max_output < len(output):
            sent.finish(oversize_error(self.app, sent.call, len(output)), repeated=repeated)
        else:
            sent.finish(output, repeated=repeated)
