"""One small object for each kind of call: on a shared worker, in a new session, in an existing one."""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.apps.registry import AppRegistry
from gateway.clock import Clock
from gateway.config import Settings
from gateway.errors import (
    AppMismatch,
    CallTimedOut,
    FunctionNotFound,
    GatewayError,
    RunState,
    VersionMismatch,
    WorkerExit,
    WorkerLeased,
    WorkerLost,
    WorkerNotFound,
)
from gateway.model import DEFAULT_SESSION_TIMEOUT, LIMIT_REASONS, AppRef, AppVersion, EndReason, Session, new_session_id
from gateway.sessions.finished import finished_error
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.live import LiveSession, draining
from gateway.sessions.quotas import Quotas
from gateway.sessions.requests import Caller, CallProgress, RunAnswer, RunRequest
from gateway.share import WHOLE, Owning
from gateway.workers.base import PendingCall, Worker, WorkerCall, WorkerPool

DEFAULT_FUNCTION = "run"
FIRST_EPOCH = 1


class Functions:
    """Which function of an app a call means."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._names: dict[AppRef, frozenset[str]] = {}

    def learn(self, app: AppRef, names: Collection[str]) -> None:
        """Take the names from a worker that was adopted: its version may no longer be deployed."""
        self._names.setdefault(app, frozenset(names))

    async def named(self, app: AppVersion, name: str, patience: Callable[[], float]) -> str:
        """Return the function's name, which a worker must be asked for the first time, for `patience()` seconds.

        Raises FunctionNotFound, AppStartFailed, NoWorkerAvailable.
        """
        names = self._names.get(app.ref)
        if names is None:
            described = await self._pool.describe(app, timeout=patience())
            names = self._names[app.ref] = frozenset(function.name for function in described)
        wanted = name or app.default_function or DEFAULT_FUNCTION
        if wanted not in names:
            raise FunctionNotFound(
                f"{app.ref} has no function {wanted}; it has {', '.join(sorted(names)) or 'none'}",
                metadata={"app": app.ref.name, "version": app.ref.version, "function": wanted},
            )
        return wanted


@dataclass(frozen=True, slots=True)
class Parts:
    """What every kind of call works with."""

    registry: AppRegistry
    pool: WorkerPool
    lifecycle: Lifecycle
    functions: Functions
    clock: Clock
    settings: Settings
    quotas: Quotas
    share: Owning = WHOLE

    def patience(self, caller: Caller) -> float:
        """Return for how many seconds the caller may be kept waiting for a worker."""
        return caller.patience(self.clock.now(), self.settings.workers.queue_time)


class PlainCall:
    """A call without a session: shared workers, which stay warm between calls."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._running: dict[PendingCall, Worker] = {}
        self._closed = False

    def close(self) -> None:
        """Answer the calls that still run: their workers end with the gateway. No other begins."""
        self._closed = True
        for call, worker in list(self._running.items()):
            call.abandon(
                WorkerLost(
                    f"worker {worker.id} was ended with the gateway while the call was in flight",
                    metadata={"workerId": worker.id, "exit": str(WorkerExit())},
                    worker_exit=WorkerExit(),
                    run_state=RunState.UNKNOWN,
                )
            )

    async def run(self, request: RunRequest, caller: Caller, progress: CallProgress) -> RunAnswer:
        """Run the call to its end."""
        app = self._parts.registry.resolve(request.app)
        function = await self._parts.functions.named(app, request.function, lambda: self._parts.patience(caller))
        worker = await self._parts.pool.acquire_shared(
            app, owner=caller.principal, timeout=self._parts.patience(caller)
        )
        if self._closed:
            self._parts.pool.release_shared(worker)
            raise draining()
        progress.started = True
        call = worker.call(
            WorkerCall(
                function,
                request.payload,
                request.as_struct,
                call_id=progress.call_id,
                deadline=progress.deadline,
                max_output=self._parts.settings.server.max_output_bytes,
                partials=progress.partials,
                trace=progress.trace and progress.trace.at_worker(worker.id, app.ref.version, progress.call_id),
            )
        )
        self._running[call] = worker
        # Not when the caller leaves: the worker's place is free when the function has ended.
        call.when_done(lambda: self._done(call))
        try:
            output = await call.reply
        except asyncio.CancelledError:
            call.cancel()
            raise
        return RunAnswer(progress.call_id, output)

    def _done(self, call: PendingCall) -> None:
        self._parts.pool.release_shared(self._running.pop(call))


class SessionCall:
    """A call in an existing session."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._background: set[asyncio.Task[object]] = set()

    async def run(self, request: RunRequest, caller: Caller, progress: CallProgress) -> RunAnswer:
        """Run the call to its end. What is refused before its admission changes nothing."""
        live = await self._parts.lifecycle.find(request.session, caller.principal)
        self._check_app(live, request)
        self._check_worker(live, request.worker_id)
        function = request.function or live.app.default_function or DEFAULT_FUNCTION
        if function not in live.worker.functions:
            patience = partial(self._parts.patience, caller)
            function = await self._parts.functions.named(live.app, request.function, patience)
        live.turns.expect()
        try:
            record = await self._parts.lifecycle.admit(live)
        finally:
            live.turns.expected()
        if record.worker_id != live.worker.id:
            await self._parts.lifecycle.settle(live, started=False)
            error = WorkerLeased.of(record.worker_id)
            error.session_id = live.id
            raise error
        try:
            if not live.turns.entered():
                # Only the caller's own deadline bounds the wait: the calls ahead may take as long as they like.
                await live.turns.enter(caller.patience(self._parts.clock.now(), math.inf))
        except BaseException:
            # A session that has ended took the calls that were not started back from its count in the same step.
            await asyncio.shield(self._parts.lifecycle.settle(live, started=False))
            raise
        try:
            return await self.perform(live, record.epoch, function, request, progress)
        except WorkerLost as error:
            if error.run_state is RunState.NOT_STARTED:
                # It died before this call came, which is the session's end and no loss of this call.
                await self._parts.lifecycle.find(live.id, live.owner)
            raise

    async def perform(
        self, live: LiveSession, epoch: int, function: str, request: RunRequest, progress: CallProgress
    ) -> RunAnswer:
        """Give the worker a call that is admitted and whose turn it is, and answer it.

        `epoch` is the one on record: a worker that has been leased under another refuses the call.
        A caller that goes away does not end the call: the next one's turn comes when the function has ended.
        """
        try:
            call = self._given(live, epoch, function, request, progress)
        except BaseException:
            await self._done(live, None, started=False)
            raise
        live.calls.add(call)
        return await self._answer(live, call, function, progress)

    def _given(
        self, live: LiveSession, epoch: int, function: str, request: RunRequest, progress: CallProgress
    ) -> PendingCall:
        call = live.worker.call(
            WorkerCall(
                function,
                request.payload,
                request.as_struct,
                live.id,
                epoch,
                progress.call_id,
                request.request_id,
                progress.fingerprint,
                progress.deadline,
                request.expected_call_count,
                self._parts.settings.server.max_output_bytes,
                progress.partials,
                progress.trace and progress.trace.at_worker(live.worker.id, live.ref.version, progress.call_id),
            )
        )
        progress.started = True
        return call

    async def _answer(self, live: LiveSession, call: PendingCall, function: str, progress: CallProgress) -> RunAnswer:
        try:
            output = await call.reply
        except asyncio.CancelledError:
            call.cancel()
            call.when_done(lambda: self._in_background(self._done(live, call, started=call.ran)))
            raise
        except GatewayError as raised:
            error = raised
            if isinstance(error, WorkerLost | CallTimedOut):
                # Before the turn is given on: whoever waits hears that the session has ended.
                error = _killed(error, await self._parts.lifecycle.lost(live))
            session = await self._done(live, call, started=call.ran)
            _complete(error, live, session)
            raise error from None
        session = await self._done(live, call, started=call.ran)
        return RunAnswer(progress.call_id, output, session)

    async def _done(self, live: LiveSession, call: PendingCall | None, *, started: bool) -> Session | None:
        if call is not None:
            live.calls.discard(call)
        live.turns.leave()
        return await self._parts.lifecycle.settle(live, started=started)

    def _in_background(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _check_worker(self, live: LiveSession, worker_id: str) -> None:
        if not worker_id or worker_id == live.worker.id:
            return
        raise WorkerLeased.of(worker_id) if self._parts.pool.holder(worker_id) else WorkerNotFound.of(worker_id)

    def _check_app(self, live: LiveSession, request: RunRequest) -> None:
        bound, query = live.ref, request.app
        if query.name != bound.name:
            error: AppMismatch | VersionMismatch = AppMismatch(
                f"session {live.id} belongs to app {bound.name}, not {query.name}",
                metadata={"sessionId": live.id, "sessionApp": bound.name, "requestedApp": query.name},
            )
            raise _bound(error, live, (query.name, query.version))
        version = query.version or self._parts.registry.resolve(query).ref.version
        if version != bound.version:
            error = VersionMismatch(
                f"session {live.id} belongs to version {bound.version} of {bound.name}, not {version}",
                metadata={
                    "sessionId": live.id,
                    "sessionApp": bound.name,
                    "sessionVersion": bound.version,
                    "requestedVersion": version,
                },
            )
            raise _bound(error, live, (query.name, version))


class NewSessionCall:
    """The first call of a session, which opens it."""

    def __init__(self, parts: Parts, in_session: SessionCall) -> None:
        self._parts = parts
        self._in_session = in_session
        self._opening: set[LiveSession] = set()
        self._closed = False

    async def close(self) -> None:
        """End the sessions whose first call still runs: their callers would never learn of them (contract, rule 9).

        No other begins, although the workers of these may come to those who wait.
        """
        self._closed = True
        for live in list(self._opening):
            await self._parts.lifecycle.end_surely(live, EndReason.FIRST_CALL_FAILED)

    async def run(self, request: RunRequest, caller: Caller, progress: CallProgress) -> RunAnswer:
        """Lease a worker, open the session and run the call.

        When that fails or is cancelled, the session is ended: nobody would know its id (contract, rule 9).
        """
        app = self._parts.registry.resolve(request.app)
        function = await self._parts.functions.named(app, request.function, lambda: self._parts.patience(caller))
        async with self._parts.quotas.opening(caller.principal) as at_most:
            live = await self._opened(app, request, caller, at_most)
        if self._closed:  # while it was put on record
            await asyncio.shield(self._parts.lifecycle.end_surely(live, EndReason.FIRST_CALL_FAILED))
            raise draining()
        await live.turns.enter(math.inf)
        self._opening.add(live)
        try:
            return await self._in_session.perform(live, live.epoch, function, request, progress)
        except GatewayError as error:
            ended = await self._parts.lifecycle.end_surely(live, EndReason.FIRST_CALL_FAILED)
            _complete(error, live, ended)
            raise
        except BaseException:
            # A task of its own: this one has been cancelled, and may be again before the end is on record.
            await asyncio.shield(self._parts.lifecycle.end_surely(live, EndReason.FIRST_CALL_FAILED))
            raise
        finally:
            self._opening.discard(live)

    async def _opened(self, app: AppVersion, request: RunRequest, caller: Caller, at_most: int | None) -> LiveSession:
        session_id = self._parts.share.drawn(new_session_id)
        timeout = request.session_timeout if request.session_timeout is not None else DEFAULT_SESSION_TIMEOUT
        patience = self._parts.patience(caller)
        worker = await self._parts.pool.lease(
            app,
            session_id,
            FIRST_EPOCH,
            outlive=timeout,
            worker_id=request.worker_id,
            owner=caller.principal,
            timeout=patience,
        )
        if self._closed:
            self._parts.pool.end(worker)
            raise draining()
        return await self._parts.lifecycle.open(
            session_id,
            app,
            worker,
            principal=caller.principal,
            epoch=FIRST_EPOCH,
            timeout=timeout,
            at_most=at_most,
        )


def _bound(error: AppMismatch | VersionMismatch, live: LiveSession, requested: tuple[str, str]) -> GatewayError:
    error.session_id = live.id
    error.bound = (live.ref.name, live.ref.version)
    error.requested = requested
    return error


def _killed(error: GatewayError, session: Session | None) -> GatewayError:
    """Return what a call is told whose worker was killed for a limit of its app, and not through its own doing."""
    if not isinstance(error, WorkerLost) or session is None or session.end_reason not in LIMIT_REASONS.values():
        return error
    return finished_error(session, error.run_state)


def _complete(error: GatewayError, live: LiveSession, session: Session | None) -> None:
    """Tell in the error which session it is about, and how that has ended if it has."""
    error.session_id = live.id
    if session is not None and session.end_reason is not None:
        error.end_reason = session.end_reason.value
