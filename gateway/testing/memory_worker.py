"""The gateway's side of a process in memory: calls that it was given, and what becomes of them."""

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.errors import RunState, WorkerExit
from gateway.model import new_call_id
from gateway.testing.memory_machine import MemoryProcess, Outcome, functions_of
from gateway.workers.base import PendingCall, Standing, Worker, WorkerCall
from gateway.workers.replies import call_error, lost_error
from sessiongateway.worker.v1 import worker_pb2 as pb


class MemoryCall(PendingCall):
    """A call that a process of the machine was given."""

    def __init__(self, worker: "MemoryWorker", call: WorkerCall) -> None:
        super().__init__(call)
        self._worker = worker

    def cancel(self) -> None:
        if not self.done:
            self._worker.send(self._worker.process.cancel, self.call.call_id)


class MemoryWorker(Worker):
    """The gateway's side of a process."""

    def __init__(self, process: MemoryProcess, gone: Callable[["MemoryWorker"], object]) -> None:
        self.id, self.app = process.id, process.app
        self.functions = functions_of(process.instance)
        self.process = process
        self.ending = False
        self.shared_calls = 0
        self._gone = gone
        self._exit: WorkerExit | None = None
        self._calls: dict[str, MemoryCall] = {}
        self._lost: list[Callable[[WorkerExit], object]] = []
        self._standing: Standing | None = None
        self._standing_callbacks: list[Callable[[Standing], object]] = []
        self._deaf = False
        process.attach(self)

    @property
    def exit(self) -> WorkerExit | None:
        return self._exit

    @property
    def fenced(self) -> bool:
        """Whether another pool has taken the process over."""
        return self.process.link is not self

    def when_lost(self, callback: Callable[[WorkerExit], object]) -> None:
        if self._exit is not None:
            callback(self._exit)
        else:
            self._lost.append(callback)

    def when_standing(self, callback: Callable[[Standing], object]) -> None:
        if self._standing is not None:
            callback(self._standing)
        else:
            self._standing_callbacks.append(callback)

    def call(self, call: WorkerCall) -> PendingCall:
        call = call._replace(call_id=call.call_id or new_call_id())
        sent = MemoryCall(self, call)
        if self._exit is not None:
            sent.finish(lost_error(self.id, self._exit, RunState.NOT_STARTED))
        elif self.fenced:
            fenced = pb.Failure(kind=pb.FAILURE_KIND_FENCED)
            sent.finish(call_error(self.app.ref, self.id, call, fenced))
        else:
            self._calls[call.call_id] = sent
            self.send(self.process.receive, call)
        return sent

    def send(self, receive: Callable[[Any], object], message: object) -> None:
        """Have the process receive something in the event loop's next turn, if anything still connects the two."""
        if not self._deaf:
            asyncio.get_running_loop().call_soon(receive, message)

    def say_standing(self) -> None:
        """The process says how it stands."""
        running = {id: MemoryCall(self, WorkerCall("", b"", call_id=id)) for id in self.process.calls}
        self._calls |= running
        self._standing = Standing(list(running.values()), self.process.started, self.process.last_end)
        for callback in self._standing_callbacks:
            callback(self._standing)

    def let_go(self) -> None:
        """Hear nothing of the process any more, and leave it to itself."""
        self._deaf = True
        if self.process.link is self:  # or another gateway has it by now
            self.process.detach()

    def answered(self, call_id: str, outcome: Outcome, *, repeated: bool) -> None:
        """The process says how a call ended."""
        sent = self._calls.pop(call_id, None)
        if sent is None or self._deaf:
            return
        told = outcome if isinstance(outcome, bytes) else call_error(self.app.ref, self.id, sent.call, outcome)
        sent.finish(told, repeated=repeated)

    def exited(self, exit_: WorkerExit) -> None:
        """The process is no more."""
        if self._deaf:
            return
        self._exit = exit_
        calls, self._calls = self._calls, {}
        for sent in calls.values():
            sent.finish(lost_error(self.id, exit_, RunState.UNKNOWN))
        if not self.ending:
            for callback in self._lost:
                callback(exit_)
        self._gone(self)
