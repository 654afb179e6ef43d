"""The manager: what callers can ask for, each request decided here and nowhere else."""

import asyncio
import contextlib
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from weakref import WeakSet

from gateway.apps.registry import AppRegistry
from gateway.clock import Clock
from gateway.config import Settings
from gateway.errors import GatewayError, InternalError, NoWorkerAvailable, RunState, SessionNotFound, StoreUnavailable
from gateway.model import Session, new_call_id
from gateway.sessions.adoption import Adoption
from gateway.sessions.calls import Functions, NewSessionCall, Parts, PlainCall, SessionCall
from gateway.sessions.idempotency import Journal
from gateway.sessions.keepalive import KeepaliveStream
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.live import draining
from gateway.sessions.meter import CallMeter, LifeMeter, TimedProgress
from gateway.sessions.pages import Tokens, invalid_token
from gateway.sessions.quotas import Quotas
from gateway.sessions.renewals import Renewals
from gateway.sessions.requests import NEW, Caller, CallProgress, RunAnswer, RunRequest
from gateway.sessions.watch import News, SessionWatch, query_of
from gateway.share import WHOLE, Owning
from gateway.stores.base import InvalidCursor, Page, SessionFilter, SessionStore
from gateway.workers.base import WorkerPool
from gateway.workers.partials import Partials

logger = logging.getLogger("gateway.sessions")


class SessionManager:
    """Sessions and their calls. Whoever calls `start` calls `close`; the store and the pool are its caller's."""

    def __init__(
        self,
        store: SessionStore,
        pool: WorkerPool,
        registry: AppRegistry,
        clock: Clock,
        settings: Settings,
        *,
        share: Owning = WHOLE,
        meter: CallMeter | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """With a `share` other processes have the other sessions of the same store. A `meter` counts the calls. Without
        `tokens` those that are given to callers are good for as long as this object lives.
        """
        self._store = store
        self._clock = clock
        self._lifecycle = Lifecycle(store, pool, clock, settings, share)
        self._journal = Journal(settings.sessions, clock)
        quotas = Quotas(settings.quotas, store, clock)
        self._quotas = quotas if settings.quotas.limited else None
        parts = Parts(registry, pool, self._lifecycle, Functions(pool), clock, settings, quotas, share)
        self._adoption = Adoption(store, pool, clock, self._lifecycle, parts.functions, share=share)
        self._plain = PlainCall(parts)
        self._in_session = SessionCall(parts)
        self._new = NewSessionCall(parts, self._in_session)
        self._renewals = Renewals(store, self._lifecycle, clock)
        self._settings = settings
        self._meter = meter
        self._tokens = tokens or Tokens()
        self._calls = 0
        self._streams: WeakSet[KeepaliveStream | SessionWatch] = WeakSet()
        self._draining = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def news(self) -> News:
        """Whom to tell what happens to sessions of this store in other processes."""
        return self._lifecycle.news

    @property
    def meter(self) -> LifeMeter:
        """What is counted of sessions."""
        return self._lifecycle.meter

    @property
    def calls_in_flight(self) -> int:
        """Calls that run or wait, of any kind."""
        return self._calls

    def live_sessions(self) -> tuple[int, int]:
        """Return how many active sessions are idle, and how many have a call that runs or waits."""
        busy = sum(live.in_flight > 0 for live in self._lifecycle.live.values())
        return len(self._lifecycle.live) - busy, busy

    def live_by_app(self) -> Counter[tuple[str, bool]]:
        """Return how many active sessions there are, by app and whether a call of them runs or waits."""
        return Counter((live.ref.name, live.in_flight > 0) for live in self._lifecycle.live.values())

    async def start(self, left: Sequence[Session] | None = None) -> None:
        """Start the pool, and take up what the store remembers: all active sessions, or those that were `left` to this
        gateway where there are others.
        """
        await self._adoption.run(left)
        await self._lifecycle.start()

    async def take_over(self, sessions: Sequence[Session]) -> None:
        """Take over sessions of another gateway, with the epochs that they have from now on.

        Raises StoreUnavailable. What was taken over by then is to be dropped.
        """
        await self._adoption.take_over(sessions)

    def drop(self, which: Callable[[str], bool]) -> None:
        """Let go of the sessions with these ids, which are not this gateway's any more."""
        self._lifecycle.drop(which)

    async def catch_up(self, store: SessionStore, outage: float) -> None:
        """Write what happened to sessions while the store failed, for `outage` seconds. Raises StoreFailure."""
        await self._lifecycle.catch_up(store, outage)

    async def drain(self, grace: float, hurry: asyncio.Event) -> None:
        """Refuse new calls, and wait until those in flight have ended, `grace` seconds at most, or until `hurry`."""
        self._draining = True
        if self._calls:
            logger.info("waiting up to %g s for %d calls; stop again to wait no longer", grace, self._calls)
        quiet, hurried = asyncio.ensure_future(self._quiet.wait()), asyncio.ensure_future(hurry.wait())
        await asyncio.wait((quiet, hurried), timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        if not quiet.done():
            logger.warning("%d calls have not ended", self._calls)
        quiet.cancel()
        hurried.cancel()

    async def close(self, *, end_sessions: bool) -> None:
        """Stop, and either end all sessions of this gateway or leave them to the next one, with their workers."""
        self._draining = True
        self._plain.close()
        await self._new.close()
        await self._lifecycle.close(end_sessions=end_sessions)
        for stream in list(self._streams):
            stream.refuse(draining())

    async def run(self, request: RunRequest, caller: Caller) -> RunAnswer:
        """Run one call. Raises any GatewayError; each says in `run_state` whether the call ran."""
        self._call_begins()
        try:
            return await self._once(request, caller, None)
        finally:
            self._call_is_over()

    async def run_stream(self, request: RunRequest, caller: Caller) -> AsyncGenerator[bytes | RunAnswer, None]:
        """Run one call; yield its partial outputs as they come, and last its answer. Raises what `run` raises.

        A function that is faster than the iteration is made to wait. Whoever stops iterating early has left the call,
        as one who cancels `run`.
        """
        partials = Partials()
        self._call_begins()
        answer = asyncio.get_running_loop().create_task(self._once(request, caller, partials))
        answer.add_done_callback(lambda _: partials.finish())
        try:
            async for output in partials:
                yield output
            yield await answer
        finally:
            self._call_is_over()
            partials.close()
            answer.cancel()
            answer.add_done_callback(_retrieve)

    async def _once(self, request: RunRequest, caller: Caller, partials: Partials | None) -> RunAnswer:
        """Run a call, or answer as the first with its request_id was answered."""
        request_id = request.request_id
        fingerprint = _fingerprint(request) if request_id else b""
        meter = self._meter
        new_progress = CallProgress if meter is None else TimedProgress
        progress = new_progress(new_call_id(), caller.deadline, fingerprint, partials, caller.trace)
        try:
            if self._draining:
                raise draining()
            if self._quotas is not None:
                self._quotas.admit(caller.principal, size=len(request.payload), new=request.session == NEW)
            if not request_id:
                answer = await self._answered(request, caller, progress)
            else:
                key = (caller.principal, request_id)
                answer = await self._journal.once(
                    key, progress.fingerprint, progress, lambda progress: self._answered(request, caller, progress)
                )
                if answer.call_id != progress.call_id:
                    answer = await self._as_now(answer, caller)
        except BaseException as error:
            if isinstance(error, GatewayError):
                _tell_progress(error, progress)
            if meter is not None:
                meter.over(request.app.name, progress, type(error))
            raise
        if meter is not None:
            meter.over(request.app.name, progress, None)
        return answer

    def _call_begins(self) -> None:
        """Have a drain wait until `_call_is_over`."""
        if self._calls == 0:
            self._quiet.clear()
        self._calls += 1

    def _call_is_over(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._quiet.set()

    async def _as_now(self, answer: RunAnswer, caller: Caller) -> RunAnswer:
        """Return a kept answer with its session as it is by now; as it was then, if that cannot be read."""
        if answer.session is None:
            return answer
        with contextlib.suppress(SessionNotFound, StoreUnavailable):
            return answer._replace(session=await self._lifecycle.get(answer.session.id, caller.principal))
        return answer

    async def get(self, session_id: str, caller: Caller) -> Session:
        """Return a session as it is, also a finished one. Raises SessionNotFound."""
        return await self._lifecycle.get(session_id, caller.sees)

    async def keepalive(self, session_id: str, caller: Caller) -> Session:
        """Slide a session's window without a call. Raises SessionNotFound, SessionExpired, SessionEnded."""
        return await self._lifecycle.keepalive(session_id, caller.principal)

    async def end(self, session_id: str, caller: Caller) -> Session:
        """End a session; a finished one is returned as it is. Raises SessionNotFound."""
        return await self._lifecycle.end(session_id, caller.sees)

    async def list(self, filter: SessionFilter, page_size: int, token: str, caller: Caller) -> Page:
        """Return a page whose `next_cursor` is a page token of this caller's. Raises InvalidRequest (the token)."""
        query = query_of("ListSessions", caller.principal, filter)
        cursor = self._tokens.cursor(token, query)
        await self._lifecycle.expire_overdue()
        try:
            page = await self._store.page(filter, page_size, cursor)
        except InvalidCursor:
            raise invalid_token("is not a token that this gateway gave") from None
        return Page(page.sessions, self._tokens.token(query, page.next_cursor))

    def keepalive_stream(self, caller: Caller) -> KeepaliveStream:
        """Return a stream, which whoever asked for it closes."""
        stream = KeepaliveStream(self._lifecycle, self._renewals, caller.principal)
        self._streams.add(stream)
        return stream

    async def watch(self, filter: SessionFilter, resume_token: str, caller: Caller) -> SessionWatch:
        """Return a watch of an owner's sessions, which whoever asked for it closes.

        Raises InvalidRequest (the token) and GatewayDraining.
        """
        if self._draining:
            raise draining()
        watch = SessionWatch(
            self._store,
            self._lifecycle.news,
            self._clock,
            filter,
            tokens=self._tokens,
            principal=caller.principal,
        )
        try:
            await watch.start(resume_token)
        except BaseException:
            watch.close()
            raise
        self._streams.add(watch)
        return watch

    async def _answered(self, request: RunRequest, caller: Caller, progress: CallProgress) -> RunAnswer:
        """Run a call whose errors, the unforeseen too, all say whether it ran: the journal keeps them by that."""
        kind = self._plain if not request.session else self._new if request.session == NEW else self._in_session
        try:
            return await kind.run(request, caller, progress)
        except GatewayError as error:
            # There is no worker because the gateway stops: another one may have some.
            answer = draining() if self._draining and isinstance(error, NoWorkerAvailable) else error
            _tell_progress(answer, progress)
            raise answer from error.__cause__
        except Exception as error:
            raise InternalError(RunState.UNKNOWN if progress.started else RunState.NOT_STARTED) from error


def _retrieve(answer: asyncio.Task[RunAnswer]) -> None:
    # Whoever wanted it has left: an error of it is no news to anyone.
    if not answer.cancelled():
        answer.exception()


def _tell_progress(error: GatewayError, progress: CallProgress) -> None:
    error.call_id = error.call_id or progress.call_id
    error.run_state = error.run_state or RunState.NOT_STARTED
    if progress.trace is not None:
        error.trace_id = error.trace_id or progress.trace.trace_id


def _fingerprint(request: RunRequest) -> bytes:
    timeout = "" if request.session_timeout is None else str(request.session_timeout)
    form = "struct" if request.as_struct else "json"
    expected = "" if request.expected_call_count is None else str(request.expected_call_count)
    words = (str(request.app), request.function, form, request.session, timeout, request.worker_id, expected)
    return hashlib.sha256("\0".join(words).encode() + b"\0" + request.payload).digest()
