"""A machine in memory: worker processes that are objects, which outlive the pool that started them.

An app is a class. An instance of it is what a process has in memory, and its public methods are its functions: each
takes the input, a dict, and returns the output, at once or as a coroutine. There is no code to import, no file, no
signal and no grace; a function runs as a task of the event loop.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.clock import Clock, Timer
from gateway.errors import WorkerExit
from gateway.model import AppRef, AppVersion, new_worker_id
from gateway.trace import TraceContext
from gateway.worker import payload
from gateway.worker.failures import CallRefused
from gateway.workers.base import WorkerCall
from sessiongateway.app import CallContext, _current
from sessiongateway.worker.v1 import worker_pb2 as pb

Outcome = bytes | pb.Failure
"""How a call ended: its output, or what the worker says of the failure."""


class Leaving(Exception):
    """Raised by a function whose process is to end there and then."""

    def __init__(self, exit_: WorkerExit) -> None:
        super().__init__(str(exit_))
        self.exit = exit_


class Refused(Exception):
    """Raised by a function in place of an app's input type: the input is refused, and nothing was run."""


class Link(Protocol):
    """The gateway's end of the connection to a process."""

    def answered(self, call_id: str, outcome: Outcome, *, repeated: bool) -> None:
        """A call has ended."""

    def exited(self, exit_: WorkerExit) -> None:
        """The process has ended."""


@dataclass(eq=False)
class MemoryProcess:
    """One worker process, on its own: what it knows and does whether or not a gateway is there."""

    id: str
    app: AppVersion
    instance: Any
    machine: "MemoryMachine"
    session_id: str = ""
    epoch: int = 0
    outlive: float = 0.0
    """Seconds without a gateway after which it ends itself; 0: at once."""
    link: Link | None = None
    exit: WorkerExit | None = None
    started: int = 0
    last_end: float | None = None
    calls: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    """Those of the calls whose task has taken its first step."""
    journal: dict[str, tuple[bytes, asyncio.Task[Outcome]]] = field(default_factory=dict)
    orphaned: Timer | None = None

    def attach(self, link: Link) -> None:
        """A gateway is there, and hears from now on what becomes of calls."""
        self.link = link
        if self.orphaned is not None:
            self.orphaned.cancel()

    def detach(self) -> None:
        """No gateway is there any more. A leased process goes on for a while, any other ends."""
        self.link = None
        if self.exit is not None:
            return
        if self.outlive:
            self.orphaned = self.machine.clock.call_later(self.outlive, lambda: self.stop(WorkerExit(exit_code=0)))
        else:
            self.stop(WorkerExit(exit_code=0))

    def receive(self, call: WorkerCall) -> None:
        """Begin a call, or answer it without running anything."""
        if self.exit is not None:
            return  # whoever gave it hears of the exit
        if (call.session_id, call.epoch) != (self.session_id, self.epoch):
            self._answer(call.call_id, pb.Failure(kind=pb.FAILURE_KIND_FENCED))
            return
        fingerprint, first = self.journal.get(call.request_id, (call.fingerprint, None))
        if fingerprint != call.fingerprint:
            self._answer(call.call_id, pb.Failure(kind=pb.FAILURE_KIND_REQUEST_ID_REUSED))
        elif first is not None:
            first.add_done_callback(lambda task: self._answer(call.call_id, _outcome(task), repeated=True))
        elif call.expected_calls is not None and call.expected_calls != self.started:
            self._answer(call.call_id, pb.Failure(kind=pb.FAILURE_KIND_MOVED_ON))
        else:
            self._begin(call)

    def cancel(self, call_id: str) -> None:
        """Cancel a call that runs."""
        if call_id in self.calls:
            self.calls[call_id].cancel()

    def stop(self, exit_: WorkerExit) -> None:
        """End, with all that runs."""
        if self.exit is not None:
            return
        self.exit = exit_
        if self.orphaned is not None:
            self.orphaned.cancel()
        for task in self.calls.values():
            task.cancel()
        del self.machine.processes[self.id]
        if self.link is not None:
            asyncio.get_running_loop().call_soon(self.link.exited, exit_)

    def _begin(self, call: WorkerCall) -> None:
        task = asyncio.get_running_loop().create_task(self._run(call))
        self.machine.tasks.add(task)
        task.add_done_callback(self.machine.tasks.discard)
        if call.request_id:
            self.journal[call.request_id] = (call.fingerprint, task)
        self.calls[call.call_id] = task
        self.started += 1
        task.add_done_callback(lambda _: self._ended(call, task))

    async def _run(self, call: WorkerCall) -> Outcome:
        self.begun.add(call.call_id)
        format = pb.PAYLOAD_FORMAT_STRUCT if call.as_struct else pb.PAYLOAD_FORMAT_JSON
        function = getattr(self.instance, call.function, None)
        if function is None:
            return pb.Failure(kind=pb.FAILURE_KIND_NO_FUNCTION)
        _current.set(_context_of(call))
        try:
            output = function(payload.decode(call.payload, format, None))
            return payload.encode(await output if inspect.isawaitable(output) else output, format)
        except Leaving as leaving:
            self.stop(leaving.exit)
            raise asyncio.CancelledError from leaving
        except Refused as refused:
            return pb.Failure(kind=pb.FAILURE_KIND_INVALID_INPUT, message=str(refused))
        except CallRefused as refusal:
            return refusal.failure
        except Exception as error:  # noqa: BLE001  # an app raises what it likes
            return pb.Failure(kind=pb.FAILURE_KIND_RAISED, type=type(error).__name__, message=str(error))

    def _ended(self, call: WorkerCall, task: asyncio.Task[Outcome]) -> None:
        del self.calls[call.call_id]
        if self.exit is not None:
            return
        outcome = _outcome(task) if call.call_id in self.begun else pb.Failure(kind=pb.FAILURE_KIND_NOT_BEGUN)
        self.begun.discard(call.call_id)
        self.last_end = self.machine.clock.now().monotonic
        if isinstance(outcome, pb.Failure) and outcome.kind != pb.FAILURE_KIND_RAISED:
            # Nothing was run: it does not count, and its repeat may run.
            self.started -= 1
            self.journal.pop(call.request_id, None)
        self._answer(call.call_id, outcome)

    def _answer(self, call_id: str, outcome: Outcome, *, repeated: bool = False) -> None:
        if self.link is not None and self.exit is None:
            link = self.link
            asyncio.get_running_loop().call_soon(lambda: link.answered(call_id, outcome, repeated=repeated))


class MemoryMachine:
    """Processes, and the apps that they can run. Outlives the gateways whose pools are given to it."""

    def __init__(self, clock: Clock, apps: Mapping[str, Callable[[], object]]) -> None:
        """`apps` maps the name of an app, of any version, or `name@version` to what makes an instance of it."""
        self.clock = clock
        self.apps = dict(apps)
        self.processes: dict[str, MemoryProcess] = {}
        """Those that live, by worker id."""
        self.tasks: set[asyncio.Task[Outcome]] = set()
        """Functions that run, also those of a process that has ended, if they take no notice of being cancelled."""

    def make(self, app: AppRef) -> object:
        """Return a new instance of an app. Raises what its constructor raises."""
        return self.apps[str(app) if str(app) in self.apps else app.name]()

    def start(self, app: AppVersion) -> MemoryProcess:
        """Start a process. Raises what the app's constructor raises."""
        process = MemoryProcess(new_worker_id(), app, self.make(app.ref), self)
        self.processes[process.id] = process
        return process


def _context_of(call: WorkerCall) -> CallContext:
    trace = call.trace or TraceContext("")
    texts = (trace.traceparent or None, trace.tracestate or None, trace.baggage or None)
    return CallContext(call.call_id, call.session_id, call.deadline, *texts)


def functions_of(instance: object) -> list[str]:
    """Return the names of an app's functions, in order."""
    return sorted(name for name, _ in inspect.getmembers(instance, inspect.ismethod) if not name.startswith("_"))


def _outcome(task: asyncio.Task[Outcome]) -> Outcome:
    if task.cancelled():
        return pb.Failure(kind=pb.FAILURE_KIND_RAISED, type="CancelledError", message="")
    return task.result()
