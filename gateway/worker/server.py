"""The worker's end of the wire: frames in, calls of the app, frames out."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.timing import ACCEPT_PAUSE
from gateway.worker.connection import Connection
from gateway.worker.door import Door
from gateway.worker.failures import format_traceback
from gateway.worker.family import end_families, own_mark
from gateway.worker.host import AppHost, failure_of
from gateway.worker.journal import Journal
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import WorkerLoop
from gateway.worker.orphan import OrphanWatch
from gateway.worker.outcome import Outcome
from gateway.worker.streaming import Outlet
from sessiongateway.worker.v1 import worker_pb2 as pb

START_FAILED_EXIT = 70
"""Exit code of a worker whose app did not start (EX_SOFTWARE of sysexits.h)."""


@dataclass(eq=False, slots=True)
class _Running:
    task: asyncio.Task[Outcome]
    connection: Connection
    """Where the call came from."""
    outlet: Outlet | None
    """Where its partial outputs go, if they are wanted."""


class WorkerServer:
    """Serves one app instance to the gateway until it is told to shut down or is left alone for too long."""

    def __init__(
        self,
        loop: WorkerLoop,
        start: Callable[[], AppHost],
        zygote: int,
        limits: ProcessLimits,
        door: Door | None = None,
    ) -> None:
        self._loop = loop
        self._make_host = start
        self._limits = limits
        self._door = door
        self._host: AppHost | None = None
        self._ready = False
        self._session_id, self._epoch = "", 0
        self._end_reason = "abandoned"
        self._started = 0
        self._last_end = 0.0
        self._calls: dict[str, _Running] = {}
        self._journal = Journal()
        self._connections: list[Connection] = []
        self._fenced: set[Connection] = set()
        """Those of gateways whose lease another one has taken over."""
        self.abandoned = False
        """Whether it ended for want of a gateway."""
        self._first_contact = asyncio.Event()
        self._ended = asyncio.Event()
        self._orphan = OrphanWatch(self._end, zygote)

    async def run(self, listener: socket.socket) -> int:
        """Start the app, serve the gateway, unload. Returns the exit code of the process."""
        self._orphan.listen()
        self._limits.serve()
        self._listen(listener)
        if self._door is not None:
            self._door.open(self._loop, lambda sock: Connection(self, sock, self._loop))
        # The gateway is there before the app is constructed, so that it hears how that goes.
        await self._first_contact.wait()
        try:
            await self.start_app()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            print("".join(format_traceback(error)), file=sys.stderr)
            await self._say_failed(failure_of(error))
            return START_FAILED_EXIT
        await self._ended.wait()
        self.abandoned = not self._connections
        self._loop.unwatch(listener.fileno())
        listener.close()
        if self._door is not None:
            self._door.close(self._loop)
        await self._stop()
        return 0

    async def start_app(self) -> None:
        """Construct the app and set it up, and tell whoever is there. Raises whatever the app's code raises."""
        self._host = self._make_host()
        await self._host.start()
        self._ready = True
        for connection in self._connections:
            connection.send(self._standing())

    def _listen(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.watch(listener.fileno(), partial(self._accept, listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # who wanted to connect is gone
        except OSError as error:
            # The app may have used up the descriptors, and give some of them back.
            print(f"cannot accept a gateway: {error}", file=sys.stderr)
            self._loop.unwatch(listener.fileno())
            self._loop.call_later(ACCEPT_PAUSE, self._listen, listener)
        else:
            sock.setblocking(False)
            Connection(self, sock, self._loop)

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
        self._fenced.discard(connection)
        for running in self._calls.values():
            if running.connection is connection and running.outlet is not None:
                running.outlet.gone()
        if not self._connections:
            self._orphan.abandoned()

    def received(self, connection: Connection, frames: Sequence[tuple[pb.ToWorker, bytes | None]]) -> None:
        """Act on frames of the gateway; on calls when all that came with them is known."""
        calls, cancelled = [], set()
        for frame, payload in frames:
            kind = frame.WhichOneof("frame")
            if kind == "call":
                call = frame.call
                calls.append((call, call.payload if payload is None else payload))
            elif kind == "lease":
                self._lease(connection, frame.lease)
            elif connection in self._fenced:
                pass  # nor may it end, or hold up, what is another's by now
            elif kind == "cancel":
                cancelled.add(frame.cancel.id)
            else:
                self._manage(kind, frame)
        for call_id in cancelled & self._calls.keys():
            self._calls[call_id].task.cancel()
        for call, payload in calls:
            self.called(connection, call, payload, cancelled=call.id in cancelled)

    def _lease(self, connection: Connection, lease: pb.Lease) -> None:
        """Be leased, or go on in the hands of another gateway: from then on only its calls have the right epoch."""
        if (self._session_id or lease.again) and lease.session_id != self._session_id:
            return
        if lease.epoch < self._epoch:
            return
        if lease.epoch > self._epoch:
            self._fenced = {other for other in self._connections if other is not connection}
        self._fenced.discard(connection)
        self._session_id, self._epoch = lease.session_id, lease.epoch
        self._orphan.leased(lease.outlive)

    def _manage(self, kind: str | None, frame: pb.ToWorker) -> None:
        if kind == "credit":
            running = self._calls.get(frame.credit.id)
            if running is not None and running.outlet is not None:
                running.outlet.credit(frame.credit)
        elif kind == "shutdown":
            self._end_reason = frame.shutdown.reason
            self._ended.set()

    def called(self, connection: Connection, call: pb.Call, payload: bytes, *, cancelled: bool = False) -> None:
        """Begin a call, or refuse it; `cancelled`: what asked for it has taken that back already."""
        if call.session_id != self._session_id or call.epoch != self._epoch:
            refusal = pb.FAILURE_KIND_FENCED
        elif call.request_id and (first := self._journal.find(call.request_id)) is not None:
            if first.fingerprint == call.fingerprint:
                first.task.add_done_callback(partial(self._repeat, connection, call.id))
                return
            refusal = pb.FAILURE_KIND_REQUEST_ID_REUSED
        elif call.HasField("expected_calls") and call.expected_calls != self._started:
            refusal = pb.FAILURE_KIND_MOVED_ON
        elif cancelled:
            refusal = pb.FAILURE_KIND_NOT_BEGUN
        else:
            self._begin(connection, call, payload)
            return
        connection.send_result(call.id, Outcome(failure=pb.Failure(kind=refusal)))

    def _begin(self, connection: Connection, call: pb.Call, payload: bytes) -> None:
        assert self._host is not None
        outlet = Outlet(call, connection.send_partial) if call.window else None
        answer = self._host.answer(call, payload, None if outlet is None else outlet.emit)
        if self._limits.of_calls:
            answer = self._limits.keep(answer)
        self._started += 1
        task = self._loop.begin(answer, call.function)
        if call.request_id:
            self._journal.record(call.request_id, call.fingerprint, task)
        if task.done():
            self._tell(connection, call.id, task)
        else:
            self._calls[call.id] = _Running(task, connection, outlet)
            task.add_done_callback(partial(self._finished, call.id))

    def _finished(self, call_id: str, task: asyncio.Task[Outcome]) -> None:
        connection = self._calls.pop(call_id).connection
        if (not connection.open or connection in self._fenced) and self._connections:
            connection = self._connections[-1]  # a gateway that has taken over, and waits for this call's end too
        self._tell(connection, call_id, task)

    def _tell(self, connection: Connection, call_id: str, task: asyncio.Task[Outcome]) -> None:
        self._last_end = time.clock_gettime(time.CLOCK_BOOTTIME)
        outcome = _outcome_of(task)
        if outcome.failure is not None and not outcome.started:
            self._started -= 1
        connection.send_result(call_id, outcome)

    def _repeat(self, connection: Connection, call_id: str, first: asyncio.Task[Outcome]) -> None:
        connection.send_result(call_id, _outcome_of(first), repeated=True)

    def _standing(self) -> pb.FromWorker:
        ready = pb.Ready(
            session_id=self._session_id,
            epoch=self._epoch,
            running=list(self._calls),
            started=self._started,
            last_end=self._last_end,
            now=time.clock_gettime(time.CLOCK_BOOTTIME),
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
            await self._host.stop(self._end_reason if self._session_id else "")
        except Exception as error:
            print("".join(format_traceback(error)), end="", file=sys.stderr)


def _outcome_of(task: asyncio.Task[Outcome]) -> Outcome:
    try:
        return task.result()
    except asyncio.CancelledError as cancelled:
        return Outcome(failure=failure_of(cancelled))


def serve(
    listener: socket.socket,
    loop: WorkerLoop,
    start: Callable[[], AppHost],
    zygote: int,
    limits: ProcessLimits,
    *,
    door: Door | None = None,
) -> int:
    """Run a worker in this process to its end and return its exit code. `zygote` is the process that forked it."""
    listener.setblocking(False)
    server = WorkerServer(loop, start, zygote, limits, door)
    try:
        code = loop.run_until_complete(server.run(listener))
    finally:
        # Only for its end, at which it cancels what the app has left running, and waits for that.
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop()
    if server.abandoned:
        # Who would have ended what the app forked is gone, or going: its family goes, and the group with this process.
        end_families(own_mark(), spare=os.getpid())
        os.killpg(0, signal.SIGKILL)
    return code
