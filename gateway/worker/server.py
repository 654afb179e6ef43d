"""The worker's end of the wire: frames in, calls of the app, frames out."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from functools import partial

from gateway.worker.failures import CallRefused, format_traceback
from gateway.worker.host import AppHost, failure_of
from gateway.workers.frames import FrameError, FrameReader, encode
from sessiongateway.worker.v1 import worker_pb2 as pb

START_FAILED_EXIT = 70
"""Exit code of a worker whose app did not start (EX_SOFTWARE of sysexits.h)."""


class WorkerServer:
    """Serves one app instance to the gateway until it is told to shut down or the gateway goes away."""

    def __init__(self, start: Callable[[], AppHost]) -> None:
        self._make_host = start
        self._host: AppHost | None = None
        self._session_id = ""
        self._epoch = 0
        self._calls: dict[int, asyncio.Task[pb.Result]] = {}
        self._connection: Connection | None = None
        self._ended = asyncio.Event()

    async def run(self, listener: socket.socket) -> int:
        """Start the app, serve the gateway, unload. Returns the exit code of the process."""
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        listener.close()
        _, self._connection = await loop.connect_accepted_socket(lambda: Connection(self), connection)
        try:
            self._host = self._make_host()
            await self._host.start()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            print("".join(format_traceback(error)), file=sys.stderr)
            self._connection.send(pb.FromWorker(failed=failure_of(error)))
            await self._connection.close()
            return START_FAILED_EXIT
        self._connection.send(pb.FromWorker(ready=pb.Ready()))
        await self._ended.wait()
        await self._stop()
        return 0

    def frame_received(self, frame: pb.ToWorker) -> None:
        """Act on one frame of the gateway."""
        kind = frame.WhichOneof("frame")
        if kind == "call":
            self._start(frame.call)
        elif kind == "lease":
            self._session_id, self._epoch = frame.lease.session_id, frame.lease.epoch
        elif kind == "cancel":
            if frame.cancel.id in self._calls:
                self._calls[frame.cancel.id].cancel()
        elif kind == "shutdown":
            self._ended.set()

    def connection_lost(self) -> None:
        """The gateway is gone, and with it everyone who could use this worker."""
        self._ended.set()

    def _start(self, call: pb.Call) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(call))
        self._calls[call.id] = task
        # A callback rather than the task itself sends the result: a task that is cancelled before its first step never
        # runs a line of its own.
        task.add_done_callback(partial(self._finished, call.id))

    async def _answer(self, call: pb.Call) -> pb.Result:
        assert self._host is not None
        if (call.session_id, call.epoch) != (self._session_id, self._epoch):
            return pb.Result(id=call.id, failure=pb.Failure(kind=pb.FAILURE_KIND_FENCED))
        try:
            return pb.Result(id=call.id, output=await self._host.call(call.function, call.payload, call.format))
        except CallRefused as refusal:
            return pb.Result(id=call.id, failure=refusal.failure)
        except SystemExit as leaving:
            _leave(leaving)
            raise
        except asyncio.CancelledError as cancelled:
            return pb.Result(id=call.id, failure=failure_of(cancelled))
        except BaseException as error:
            print("".join(format_traceback(error)), end="", file=sys.stderr)
            return pb.Result(id=call.id, failure=failure_of(error))

    def _finished(self, call_id: int, task: asyncio.Task[pb.Result]) -> None:
        del self._calls[call_id]
        if task.cancelled():
            result = pb.Result(id=call_id, failure=failure_of(asyncio.CancelledError()))
        else:
            result = task.result()
        if self._connection is not None:
            self._connection.send(pb.FromWorker(result=result))

    async def _stop(self) -> None:
        for task in self._calls.values():
            task.cancel()
        assert self._host is not None
        try:
            await self._host.stop()
        except Exception as error:
            print("".join(format_traceback(error)), end="", file=sys.stderr)


class Connection(asyncio.Protocol):
    """The one connection of the gateway."""

    def __init__(self, server: WorkerServer) -> None:
        self._server = server
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._server.frame_received(pb.ToWorker.FromString(body))
        except FrameError as error:
            print(f"the gateway sent {error}", file=sys.stderr)
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._server.connection_lost()

    def send(self, frame: pb.FromWorker) -> None:
        """Write one frame, or drop it when the gateway is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(frame))

    async def close(self) -> None:
        """Flush and close."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()


def _leave(leaving: SystemExit) -> None:
    """Exit at once with the app's own code, as sys.exit() in a program of its own would."""
    code = leaving.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


def serve(listener: socket.socket, start: Callable[[], AppHost]) -> int:
    """Run a worker in this process to its end and return its exit code."""
    listener.setblocking(False)
    return asyncio.run(WorkerServer(start).run(listener))
