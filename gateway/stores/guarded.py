"""A store around a store, which knows whether that works.

A store that is locked is tried again for a moment. Any other failure, and a lock that lasts, make it *unavailable*:
from then on operations fail at once, until the store has been recovered and what happened meanwhile is on record.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from gateway.clock import Clock, Instant
from gateway.errors import RunState, StoreUnavailable, WorkerExit
from gateway.model import EndReason, Session
from gateway.stores.base import EventPage, Page, SessionFilter, SessionStore, StoreFailure, StoreProblem
from gateway.timing import RETRY_HINT, STORE_BUSY_FIRST, STORE_BUSY_LAST, STORE_BUSY_PATIENCE, STORE_PROBE

logger = logging.getLogger("gateway.stores")

P = ParamSpec("P")
T = TypeVar("T")

CatchUp = Callable[[SessionStore, float], Awaitable[None]]
"""Puts on record what happened while the store was unavailable: gets the store inside, whose operations raise
StoreFailure, and for how many seconds nothing could be written."""


class GuardedStore(SessionStore):
    """Raises StoreUnavailable where the store inside raises StoreFailure, and recovers it.

    While the store is unavailable no operation reaches it. `catch_up` runs before it is available again.
    """

    def __init__(self, store: SessionStore, clock: Clock) -> None:
        self.catch_up: CatchUp | None = None
        self.on_change: Callable[[], object] = lambda: None
        """Called whenever `available` has changed."""
        self.on_fenced: Callable[[], object] = lambda: None
        """Called when another gateway has what was this one's, before anyone hears of it and before the store takes
        anything again: what is told from then on must not build on what this gateway knew.
        """
        self._store = store
        self._clock = clock
        self._failure: StoreFailure | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._pauses: set[asyncio.Future[None]] = set()
        self._closing = False

    @property
    def available(self) -> bool:
        """Whether operations reach the store."""
        return self._failure is None

    @property
    def inside(self) -> SessionStore:
        """The store that is guarded."""
        return self._store

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        """Close the store inside. One that is unavailable, or whose files are gone, is tried once more before."""
        self._closing = True
        await self.inspect()
        for pause in self._pauses:
            _wake(pause)
        if self._recovery is not None:
            await self._recovery
        await self._store.close()

    def create(
        self, session: Session, hold_until: float = 0.0, at_most: int | None = None
    ) -> Coroutine[Any, Any, bool]:
        return self._guard(self._store.create, session, hold_until, at_most)

    def get(self, session_id: str, owner: str | None = None) -> Coroutine[Any, Any, Session | None]:
        return self._guard(self._store.get, session_id, owner)

    # Of every call, and so without the coroutine that `_guard` is for the others.
    async def admit(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        if self._failure is not None:
            raise unavailable() from self._failure
        try:
            return await self._store.admit(session_id, now, hold_until)
        except StoreFailure as failure:
            first = failure
        return await self._again(first, lambda: self._store.admit(session_id, now, hold_until))

    async def finish(self, session_id: str, now: Instant, *, started: bool) -> Session | None:
        if self._failure is not None:
            raise unavailable() from self._failure
        try:
            return await self._store.finish(session_id, now, started=started)
        except StoreFailure as failure:
            first = failure
        return await self._again(first, lambda: self._store.finish(session_id, now, started=started))

    def adopt(
        self,
        session_id: str,
        *,
        in_flight: int,
        call_count: int | None,
        hold_until: float,
        active_at: Instant | None = None,
    ) -> Coroutine[Any, Any, Session | None]:
        return self._guard(
            self._store.adopt,
            session_id,
            in_flight=in_flight,
            call_count=call_count,
            hold_until=hold_until,
            active_at=active_at,
        )

    def hold(self, session_ids: Iterable[str], hold_until: float) -> Coroutine[Any, Any, None]:
        return self._guard(self._store.hold, list(session_ids), hold_until)

    def renew(self, session_id: str, now: Instant) -> Coroutine[Any, Any, Session | None]:
        return self._guard(self._store.renew, session_id, now)

    def end(
        self,
        session_id: str,
        reason: EndReason,
        now: Instant,
        worker_exit: WorkerExit | None = None,
        *,
        running: int | None = None,
    ) -> Coroutine[Any, Any, Session | None]:
        return self._guard(self._store.end, session_id, reason, now, worker_exit, running=running)

    def expire_if_due(self, session_id: str, now: Instant) -> Coroutine[Any, Any, Session | None]:
        return self._guard(self._store.expire_if_due, session_id, now)

    def expire_due(self, session_ids: Sequence[str], now: Instant) -> Coroutine[Any, Any, Sequence[Session]]:
        return self._guard(self._store.expire_due, session_ids, now)

    def renew_many(
        self, session_ids: Collection[str], owner: str, now: Instant
    ) -> Coroutine[Any, Any, Collection[str]]:
        return self._guard(self._store.renew_many, session_ids, owner, now)

    def due(self, now: Instant, limit: int) -> Coroutine[Any, Any, Sequence[str]]:
        return self._guard(self._store.due, now, limit)

    def page(self, filter: SessionFilter, limit: int, cursor: str = "") -> Coroutine[Any, Any, Page]:
        return self._guard(self._store.page, filter, limit, cursor)

    def count_active(self, owner: str, at_most: int) -> Coroutine[Any, Any, int]:
        return self._guard(self._store.count_active, owner, at_most)

    def purge(self, ended_before: float) -> Coroutine[Any, Any, int]:
        return self._guard(self._store.purge, ended_before)

    def position(self) -> Coroutine[Any, Any, str]:
        return self._guard(self._store.position)

    def events(self, filter: SessionFilter, after: str, limit: int) -> Coroutine[Any, Any, EventPage]:
        return self._guard(self._store.events, filter, after, limit)

    def forget_events(self, happened_before: float) -> Coroutine[Any, Any, int]:
        return self._guard(self._store.forget_events, happened_before)

    def restore(self, sessions: Sequence[Session], hold_until: float) -> Coroutine[Any, Any, None]:
        return self._guard(self._store.restore, sessions, hold_until)

    async def inspect(self) -> None:
        """Notice what no operation would. Raises nothing: the store is recovered."""
        if self._failure is None:
            try:
                await self._store.inspect()
            except StoreFailure as failure:
                self._fail(failure, self._clock.now().monotonic)

    async def recover(self, failure: StoreFailure) -> None:
        """Treat the store as one that has just failed in this way, and wait until it is available again."""
        self._fail(failure, self._clock.now().monotonic)
        if self._recovery is not None:
            await self._recovery

    async def beside(self, operation: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the store inside that is not in the contract. Raises StoreUnavailable."""
        return await GuardedStore._guard(self, operation, *args, **kwargs)

    async def _guard(self, operation: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._failure is not None:
            raise unavailable() from self._failure
        try:
            return await operation(*args, **kwargs)
        except StoreFailure as failure:
            first = failure
        return await self._again(first, lambda: operation(*args, **kwargs))

    async def _again(self, failure: StoreFailure, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Repeat an operation for as long as the store is merely locked."""
        since, pause = self._clock.now().monotonic, STORE_BUSY_FIRST
        while failure.problem is StoreProblem.BUSY and self._clock.now().monotonic - since < STORE_BUSY_PATIENCE:
            await self._pause(pause)
            pause = min(2 * pause, STORE_BUSY_LAST)
            if self._failure is not None:
                break  # another operation has lost its patience meanwhile
            try:
                return await operation()
            except StoreFailure as again:
                failure = again
        self._fail(failure, since)
        raise unavailable() from failure

    def _fail(self, failure: StoreFailure, since: float) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        logger.error("the store is unavailable: %s", failure)
        if failure.problem is StoreProblem.FENCED:
            self.on_fenced()
        self.on_change()
        self._recovery = asyncio.get_running_loop().create_task(self._recover(since))

    async def _recover(self, since: float) -> None:
        """Try until the store works again. The last attempt is that of the close."""
        assert self._failure is not None
        at_once = self._failure.problem in (StoreProblem.DAMAGED, StoreProblem.GONE, StoreProblem.FENCED)
        while True:
            if not at_once:
                await self._pause(STORE_PROBE)
            at_once, last = False, self._closing
            try:
                await self._store.recover(self._failure)
                outage = self._clock.now().monotonic - since
                if self.catch_up is not None:
                    await self.catch_up(self._store, outage)
            except StoreFailure as failure:
                self._note(failure)
            except Exception:
                logger.exception("the store could not be recovered")
            else:
                break
            if last:
                logger.error("the store is still unavailable at the stop: what happened meanwhile is not on record")
                return
        self._failure = None
        logger.warning("the store is available again, after %.1f s", outage)
        self.on_change()

    def _note(self, failure: StoreFailure) -> None:
        if self._failure is None or failure.problem is not self._failure.problem:
            logger.error("the store is still unavailable: %s", failure)
        self._failure = failure
        if failure.problem is StoreProblem.FENCED:
            self.on_fenced()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the store is being closed."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, lambda: _wake(over))
        self._pauses.add(over)
        try:
            if not self._closing:
                await over
        finally:
            timer.cancel()
            self._pauses.discard(over)


def _wake(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)


def unavailable() -> StoreUnavailable:
    """Return what callers are told: what the trouble is concerns only those who can read the log."""
    return StoreUnavailable(
        "the gateway cannot read or write its records of sessions at the moment",
        run_state=RunState.NOT_STARTED,
        retry_after=RETRY_HINT,
    )
