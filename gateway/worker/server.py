"""The worker's end of the wire: frames in, calls of the app, frames out."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.worker.connection import Connection
from gateway.worker.failures import CallRefused, format_traceback
from gateway.worker.family import end_families, own_mark
from gateway.worker.host import AppHost, failure_of
from gateway.worker.journal import Journal, started
from gateway.worker.limits import ProcessLimits
from gateway.worker.orphan import OrphanWatch
from gateway.worker.streaming import Outlet
from sessiongateway.app import CallContext
from sessiongateway.worker.v1 import worker_pb2 as pb

START_FAILED_EXIT = 70
"""Exit code of a worker whose app did not start (EX_SOFTWARE of sysexits.h)."""


@dataclass(eq=False, slots=True)
class _Running:
    task: asyncio.Task[pb.Result]
    connection: Connection
    """Where the call came from."""
    outlet: Outlet


class WorkerServer:
    """Serves one app instance to the gateway until it is told to shut down or is left alone for too long."""

    def __init__(self, start: Callable[[], AppHost], zygote: int, limits: ProcessLimits) -> None:
        self._make_host = start
        self._limits = limits
        self._host: AppHost | None = None
        self._ready = False
        self._lease = pb.Lease()
        self._end_reason = "abandoned"
        self._started = 0
        self._last_end = 0.0
        self._calls: dict[str, _Running] = {}
        self._journal = Journal()
        self._connections: list[Connection] = []
        self.abandoned = False
        """Whether it ended for want of a gateway."""
        self._first_contact = asyncio.Event()
        self._ended = asyncio.Event()
        self._orphan = OrphanWatch(self._end, zygote)

    async def run(self, listener: socket.socket) -> int:
        """Start the app, serve the gateway, unload. Returns the exit code of the process."""
        loop = asyncio.get_running_loop()
        self._orphan.listen()
        self._limits.serve()
        server = await loop.create_unix_server(lambda: Connection(self), sock=listener)
        # The gateway is there before the app is constructed, so that it hears how that goes.
        await self._first_contact.wait()
        try:
            self._host = self._make_host()
            await self._host.start()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            print("".join(format_traceback(error)), file=sys.stderr)
            await self._say_failed(failure_of(error))
            return START_FAILED_EXIT
        self._ready = True
        for connection in self._connections:
            connection.send(self._standing())
        await self._ended.wait()
        self.abandoned = not self._connections
        server.close()
        await self._stop()
        return 0

    def _end(self) -> None:
        self._first_contact.set()
        self._ended.set()

    def connected(self, connection: Connection) -> None:
        """A gateway is there: the one that asked for this worker, or a later one that found it."""
        self._connections.append(connection)
        self._orphan.contacted()
        self._first_contact.set()
        if self._ready:
            connection.send(self._standing())

    def disconnected(self, connection: Connection) -> None:
        """A gateway is gone. What it had asked for goes on."""
        self._connections.remove(connection)
        for running in self._calls.values():
            if running.connection is connection:
                running.outlet.gone()
        if not self._connections:
            self._orphan.abandoned()

    def received(self, connection: Connection, frame: pb.ToWorker) -> None:
        """Act on one frame of the gateway."""
        kind = frame.WhichOneof("frame")
        if kind == "call":
            self._start(connection, frame.call)
        elif kind == "lease":
            self._lease = frame.lease
            self._orphan.leased(frame.lease.outlive)
        elif kind == "cancel":
            if frame.cancel.id in self._calls:
                self._calls[frame.cancel.id].task.cancel()
        elif kind == "credit":
            if frame.credit.id in self._calls:
                self._calls[frame.credit.id].outlet.credit(frame.credit)
        elif kind == "shutdown":
            self._end_reason = frame.shutdown.reason
            self._ended.set()

    def _start(self, connection: Connection, call: pb.Call) -> None:
        refusal = self._refusal(call)
        if refusal is not None:
            connection.send(pb.FromWorker(result=pb.Result(id=call.id, failure=refusal)))
            return
        first = self._journal.find(call)
        if first is not None:
            first.add_done_callback(partial(self._repeat, connection, call.id))
            return
        if self._has_moved_on(call):
            refusal = pb.Failure(kind=pb.FAILURE_KIND_MOVED_ON)
            connection.send(pb.FromWorker(result=pb.Result(id=call.id, failure=refusal)))
            return
        outlet = Outlet(call, connection.send)
        task = asyncio.get_running_loop().create_task(self._limits.keep(call.id, self._answer(call, outlet)))
        self._journal.record(call, task)
        self._calls[call.id] = _Running(task, connection, outlet)
        self._started += 1
        # A callback rather than the task itself sends the result: a task that is cancelled before its first step never
        # runs a line of its own.
        task.add_done_callback(partial(self._finished, call.id))

    def _refusal(self, call: pb.Call) -> pb.Failure | None:
        if (call.session_id, call.epoch) != (self._lease.session_id, self._lease.epoch):
            return pb.Failure(kind=pb.FAILURE_KIND_FENCED)
        try:
            self._journal.find(call)
        except ValueError:
            return pb.Failure(kind=pb.FAILURE_KIND_REQUEST_ID_REUSED)
        return None

    def _has_moved_on(self, call: pb.Call) -> bool:
        return call.HasField("expected_calls") and call.expected_calls != self._started

    async def _answer(self, call: pb.Call, outlet: Outlet) -> pb.Result:
        assert self._host is not None
        try:
            context = CallContext(call.id, call.session_id, call.deadline or None)
            output = await self._host.call(
                call.function, call.payload, call.format, context=context, emit=outlet.emit, max_output=call.max_output
            )
            return pb.Result(id=call.id, output=output)
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

    def _finished(self, call_id: str, task: asyncio.Task[pb.Result]) -> None:
        self._last_end = time.clock_gettime(time.CLOCK_BOOTTIME)
        connection = self._calls.pop(call_id).connection
        if task.cancelled():
            result = pb.Result(id=call_id, failure=failure_of(asyncio.CancelledError()))
        else:
            result = task.result()
            self._started -= 0 if started(result) else 1
        if not connection.open and self._connections:
            connection = self._connections[-1]  # a gateway that has taken over, and waits for this call's end too
        connection.send(pb.FromWorker(result=result))

    def _repeat(self, connection: Connection, call_id: str, first: asyncio.Task[pb.Result]) -> None:
        if first.cancelled():
            result = pb.Result(failure=failure_of(asyncio.CancelledError()))
        else:
            result = pb.Result()
            result.CopyFrom(first.result())
        result.id = call_id
        result.repeated = True
        connection.send(pb.FromWorker(result=result))

    def _standing(self) -> pb.FromWorker:
        ready = pb.Ready(
            session_id=self._lease.session_id,
            epoch=self._lease.epoch,
            running=list(self._calls),
            started=self._started,
            last_end=self._last_end,
        )
        return pb.FromWorker(ready=ready)

    async def _say_failed(self, failure: pb.Failure) -> None:
        for connection in list(self._connections):
            connection.send(pb.FromWorker(failed=failure))
            await connection.close()

    async def _stop(self) -> None:
        for running in self._calls.values():
            running.task.cancel()
        assert self._host is not None
        try:
            await self._host.stop(self._end_reason if self._lease.session_id else "")
        except Exception as error:
            print("".join(format_traceback(error)), end="", file=sys.stderr)


def _leave(leaving: SystemExit) -> None:
    """Exit at once with the app's own code, as sys.exit() in a program of its own would."""
    code = leaving.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


def serve(listener: socket.socket, start: Callable[[], AppHost], zygote: int, limits: ProcessLimits) -> int:
    """Run a worker in this process to its end and return its exit code. `zygote` is the process that forked it."""
    listener.setblocking(False)
    server = WorkerServer(start, zygote, limits)
    code = asyncio.run(server.run(listener))
    if server.abandoned:
        # Who would have ended what the app forked is gone, or going: its family goes, and the group with this process.
        end_families(own_mark(), spare=os.getpid())
        os.killpg(0, signal.SIGKILL)
    return code
