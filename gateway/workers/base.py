"""The contract of worker pools. Each sentence about behaviour is a test in `gateway.testing.pool_suite`.

A worker is one process with one instance of one app version. It is leased to one session for the whole of its life, or
it is shared by plain calls; never both, and never a second session.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.errors import GatewayDraining, GatewayError, NoWorkerAvailable, RunState, WorkerExit
from gateway.model import AppRef, AppVersion, FunctionDescription
from gateway.timing import RETRY_HINT
from gateway.trace import TraceContext
from gateway.workers.partials import Partials


class PoolUnavailable(GatewayDraining):
    """What places workers cannot be reached at the moment: none can be started, and none can be looked for. To callers
    it is a gateway that takes no new sessions for a while; that of another machine may.
    """

    @classmethod
    def of(cls, why: str) -> "PoolUnavailable":
        return cls(
            f"no worker can be started at the moment: {why}",
            run_state=RunState.NOT_STARTED,
            retry_after=RETRY_HINT,
        )


class WorkerCall(NamedTuple):
    """One call as a worker gets it.

    `payload` is a JSON object as UTF-8 text, or a serialized google.protobuf.Struct when `as_struct`; the output comes
    in the same form. The session and epoch must be those of the lease ("" and 0 on a shared worker).
    """

    function: str
    payload: bytes
    as_struct: bool = False
    session_id: str = ""
    epoch: int = 0
    call_id: str = ""
    """Names the call for all time; "" has the pool make one."""
    request_id: str = ""
    """A worker that has had a call with this key, and the same fingerprint, answers as it did then and runs nothing."""
    fingerprint: bytes = b""
    deadline: float | None = None
    """When the caller stops waiting, on the monotonic clock. For the app to know; nothing is cut off at it."""
    expected_calls: int | None = None
    """Refused as CallCountMismatch unless this many calls of the session have been started before. A repeat is not."""
    max_output: int = 0
    """Bytes of the largest output, and partial output, that anyone would pass on. A larger one is AppError
    (OutputTooLarge) and stays in the worker. 0: any."""
    partials: Partials | None = None
    """Where the outputs of a generator go, all of them before the reply, and no faster than they are read: the function
    waits when too much is unread. It goes on without a reader. None: they are dropped. A repeat has none."""
    trace: TraceContext | None = None
    """For the app to know, as it is; None for none."""


@dataclass(frozen=True, slots=True)
class WorkerLease:
    """A lease as the store remembers it: what a worker must agree to when it is adopted."""

    session_id: str
    epoch: int
    worker_id: str
    app: AppRef
    timeout: int
    """Seconds that the worker outlives its gateway, beside a grace."""


class PendingCall(ABC):
    """A call that a worker has been given."""

    reply: asyncio.Future[bytes]
    """The output, or one of AppError, InvalidInput, InvalidRequest, FunctionNotFound, WorkerLeased (fenced),
    CallTimedOut and WorkerLost, each with its run_state. Whoever awaits it may be cancelled: the function knows nothing
    of that until `cancel`."""

    repeated: bool = False
    """The reply is that of an earlier call with the same request_id."""

    ran: bool = True
    """Whether its function was run, or may have been. Certain once the worker is through with it, not before."""

    def __init__(self, call: WorkerCall) -> None:
        self.call = call
        self.reply = asyncio.get_running_loop().create_future()
        self.done = False
        """The worker is through with it."""
        self._callbacks: list[Callable[[], object]] = []

    @abstractmethod
    def cancel(self) -> None:
        """Cancel the function. A coroutine sees CancelledError; a plain function runs to its end all the same."""

    def abandon(self, error: GatewayError) -> None:
        """Cancel the function, and answer with this error at once, unless there is an answer already."""
        self.leave(error)
        self.cancel()

    def leave(self, error: GatewayError) -> None:
        """Answer with this error at once, unless there is an answer already, and let the function go on."""
        if not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()  # nobody may be waiting any more, which is no cause for a warning

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call back once when the worker is through with the call, whatever became of `reply`; at once if it is."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def finish(self, outcome: bytes | GatewayError, *, repeated: bool = False) -> None:
        """The worker is through with it. Called by the pool, once."""
        if repeated:
            self.repeated, self.ran = True, False
        if isinstance(outcome, GatewayError):
            self.ran = self.ran and outcome.run_state is not RunState.NOT_STARTED
            self.leave(outcome)
        elif not self.reply.done():
            self.reply.set_result(outcome)
        self.done = True
        for callback in self._callbacks:
            callback()


@dataclass(frozen=True, slots=True)
class Standing:
    """What an adopted worker says of itself."""

    running: Sequence[PendingCall]
    """Calls that a gateway before this one gave it."""
    started: int
    """How many calls of the session it has started."""
    last_end: float | None
    """When the newest of them ended, on the monotonic clock; None if none has."""


class Worker(ABC):
    """One process, obtained from `WorkerPool.lease`, `acquire_shared` or `adopt`."""

    id: str
    app: AppVersion
    functions: Collection[str] = ()
    """The names of the app's functions."""

    @property
    @abstractmethod
    def exit(self) -> WorkerExit | None:
        """How the process ended; None while it lives."""

    @abstractmethod
    def when_lost(self, callback: Callable[[WorkerExit], object]) -> None:
        """Call back once when the process ends without having been asked to; at once if it already has."""

    @abstractmethod
    def when_standing(self, callback: Callable[[Standing], object]) -> None:
        """Call back once when an adopted worker has said how it stands; at once if it has. One whose app blocks its
        event loop says so only when that ends.
        """

    @abstractmethod
    def call(self, call: WorkerCall) -> PendingCall:
        """Give the worker a call. When it is lost, also later, the reply is WorkerLost. Never raises.

        A call that takes longer than the app's `limits.call` is cancelled, and its reply is CallTimedOut; also for a
        repeat of it, and whichever pool began it. If its function does not give way, the worker is killed.
        """


class WorkerPool(ABC):
    """Starts, leases and ends workers. Whoever calls `start` calls `close`.

    A worker that takes more memory, processes or disk than its app's `limits` say is killed, with all that it has
    started, or what it asks for is refused it. `Worker.exit` has the limit for which a worker was killed. Limits are
    those of the worker's own start, also where it is adopted.
    """

    anywhere: bool = False
    """Whether the pool of another gateway, on whatever machine, can adopt workers of this one."""

    def use_secret(self, secret: bytes) -> None:  # noqa: B027  # not every pool has anything to prove
        """Take what all gateways on the store know, and nobody else. Called before `start`."""

    @abstractmethod
    async def start(self, leases: Sequence[WorkerLease] = ()) -> Mapping[str, Worker]:
        """Make the pool ready, and take over what an earlier gateway left behind.

        Returns the workers of those leases that are still there, as `adopt` does. Whatever else was left behind is
        ended and cleared away.
        """

    @abstractmethod
    async def adopt(self, leases: Sequence[WorkerLease]) -> Mapping[str, Worker]:
        """Take over workers that another gateway has, or had. May be called at any time after `start`.

        Returns the workers of those leases that are there, by session id. From then on a worker has the epoch of its
        lease, which is not below the one that it had, and refuses calls of any other, also those of whoever had it
        before. A worker that turns out to belong to another session, or to have a higher epoch, counts as lost.

        Raises PoolUnavailable when it cannot be told at the moment which are there. Nothing is taken over then.
        """

    @abstractmethod
    def detach(self, worker: Worker) -> None:
        """Let go of a leased worker at once. It lives on as with `close`, for another gateway to adopt."""

    @abstractmethod
    async def close(self, *, keep_leased: bool = False) -> None:
        """End every worker, within the grace for unload(), and wait until nothing is left of any.

        With `keep_leased` leased workers live on, for another gateway to adopt.
        """

    @abstractmethod
    def keep_ready(self, apps: Sequence[AppVersion]) -> None:
        """Keep workers of these versions ready, and let those of others go when they are no longer used."""

    @abstractmethod
    async def describe(self, app: AppVersion, *, timeout: float) -> Sequence[FunctionDescription]:
        """Return the functions of an app by name, importing its code if that was not done yet.

        Raises AppStartFailed, and NoWorkerAvailable after `timeout` seconds.
        """

    @abstractmethod
    async def lease(
        self,
        app: AppVersion,
        session_id: str,
        epoch: int,
        *,
        outlive: int = 0,
        worker_id: str = "",
        owner: str = "",
        timeout: float,
    ) -> Worker:
        """Lease a fresh worker, which has run no call of anyone, to a session.

        Without a gateway it lives on for `outlive` seconds and a grace, for another one to adopt; 0: not at all.

        Those who wait take turns by `owner`, for whom the session is, and those of one owner are served in the order in
        which they came. One who is cancelled leaves nothing behind. With a `worker_id` exactly that worker is taken,
        without waiting.

        Raises NoWorkerAvailable after `timeout` seconds, AppStartFailed, WorkerNotFound (no such worker is ready) and
        WorkerLeased (a session has it).
        """

    @abstractmethod
    async def acquire_shared(self, app: AppVersion, *, owner: str = "", timeout: float) -> Worker:
        """Return a worker for one plain call; it is the caller's until `release_shared`. Those who wait take turns by
        `owner`, as with `lease`.

        Shared workers stay warm between calls. Each has as many calls at a time as the app's `concurrency` says.
        Raises NoWorkerAvailable after `timeout` seconds and AppStartFailed.
        """

    @abstractmethod
    def release_shared(self, worker: Worker) -> None:
        """Give back what `acquire_shared` gave. A worker that was lost meanwhile is fine."""

    @abstractmethod
    def end(self, worker: Worker, reason: str = "", *, in_turn: bool = False) -> None:
        """End a leased worker: on_end() and unload() within the grace, then SIGTERM, then SIGKILL. Returns at once.

        With `in_turn` the end may begin a little later, so that not all are ended at once when many are to be: they are
        ended in the order in which they were given, and one that is ended without it goes first.

        Running calls are cancelled. In the end its process, all that it has started and its directory are gone.
        Ending a worker twice, or one that was lost, is fine.
        """

    @abstractmethod
    def holder(self, worker_id: str) -> str | None:
        """Return the session that a worker is leased to, "" when it is not, None when there is no such worker."""

    @abstractmethod
    def idle_workers(self, app: AppVersion) -> Sequence[str]:
        """Return the ids of the workers that are ready and not leased."""


def none_available(app: AppVersion) -> NoWorkerAvailable:
    """Return what those are told who have waited in vain."""
    return NoWorkerAvailable(
        f"no worker for {app.ref} became free in time",
        metadata={"app": app.ref.name, "version": app.ref.version},
        run_state=RunState.NOT_STARTED,
        retry_after=RETRY_HINT,
    )
