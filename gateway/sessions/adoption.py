"""A gateway that starts takes over what another one left: sessions with their workers, calls that still run."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from gateway.clock import Clock, Instant
from gateway.errors import GatewayError, StoreUnavailable
from gateway.model import Session, SessionStatus
from gateway.sessions.calls import Functions
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.live import LiveSession
from gateway.share import WHOLE, Owning
from gateway.stores.base import SessionFilter, SessionStore
from gateway.timing import CALL_LEASE, STORE_END_SLIDE
from gateway.workers.base import PendingCall, Standing, Worker, WorkerLease, WorkerPool

logger = logging.getLogger("gateway.sessions")

_PAGE = 500

_AT_ONCE = 100
"""Sessions that are put on record together in a store over a network, which answers many as fast as one."""


class Adoption:
    """Goes through active sessions: at the start, and where several gateways are on the store, when one has gone.

    A session whose worker is there goes on, under its id and with its state. One whose worker is gone ends: nothing is
    recreated silently (contract, rule 7).
    """

    def __init__(
        self,
        store: SessionStore,
        pool: WorkerPool,
        clock: Clock,
        lifecycle: Lifecycle,
        functions: Functions,
        *,
        share: Owning = WHOLE,
    ) -> None:
        self._store = store
        self._pool = pool
        self._clock = clock
        self._lifecycle = lifecycle
        self._functions = functions
        self._share = share

    async def run(self, left: Sequence[Session] | None = None) -> None:
        """Start the pool and take over all that is active, or what was `left` to this gateway. Returns when what the
        workers have said of themselves is on record.
        """
        sessions = [session async for session in self._active()] if left is None else left
        # With all leases: a pool of one process among several leaves the workers of the others alone.
        workers = await self._pool.start(list(map(_lease, sessions)))
        own = [session for session in sessions if self._share.owns(session.id)]
        await self._take(own, workers, at_once=1 if left is None else _AT_ONCE)

    async def take_over(self, sessions: Sequence[Session]) -> None:
        """The same with a pool that has started, for sessions of another gateway. Raises StoreUnavailable."""
        workers = await self._pool.adopt(list(map(_lease, sessions)))
        try:
            await self._take(sessions, workers, at_once=_AT_ONCE)
        except BaseException:
            for session_id, worker in workers.items():
                if session_id not in self._lifecycle.live:
                    self._pool.detach(worker)
            raise

    async def _take(self, sessions: Sequence[Session], workers: Mapping[str, Worker], *, at_once: int) -> None:
        before = self._lifecycle.meter.adopted
        for first in range(0, len(sessions), at_once):
            some = sessions[first : first + at_once]
            outcomes = await asyncio.gather(
                *(self._take_one(session, workers.get(session.id)) for session in some), return_exceptions=True
            )
            for failure in filter(None, outcomes):
                raise failure
        await self._lifecycle.settled()
        if sessions:
            taken = self._lifecycle.meter.adopted - before
            noun = "session" if taken == 1 else "sessions"
            logger.info("%d %s adopted, %d lost", taken, noun, len(sessions) - taken)

    async def _take_one(self, session: Session, worker: Worker | None) -> None:
        if worker is None:
            await self._let_go(session)
            await self._lifecycle.end_lost(session.id)
            return
        self._functions.learn(session.app, worker.functions)
        live = self._lifecycle.hold(await self._held(session), worker)
        self._lifecycle.meter.adopted += 1
        worker.when_standing(partial(self._answered, live, session))

    async def _active(self) -> AsyncIterator[Session]:
        cursor = ""
        while True:
            page = await self._store.page(SessionFilter(status=SessionStatus.ACTIVE), _PAGE, cursor)
            for session in page.sessions:
                yield session
            cursor = page.next_cursor
            if not cursor:
                return

    async def _let_go(self, session: Session) -> None:
        """Have no call hold a session without a worker. What was in flight may have ended and been told before that."""
        if session.in_flight:
            told = self._instant(_last_told(session))
            await self._store.adopt(session.id, in_flight=0, call_count=None, hold_until=0.0, active_at=told)

    async def _held(self, session: Session) -> Session:
        """Hold the session until its worker has said whether a call runs: until then it must not expire."""
        hold_until = self._clock.now().monotonic + CALL_LEASE
        held = await self._store.adopt(session.id, in_flight=1, call_count=None, hold_until=hold_until)
        return held or session

    def _answered(self, live: LiveSession, left: Session, standing: Standing) -> None:
        self._lifecycle.spawn(self._set_right(live, left, standing))

    async def _set_right(self, live: LiveSession, left: Session, standing: Standing) -> None:
        """Put on record what the worker says; `left` is the record that another gateway left."""
        hold_until = self._clock.now().monotonic + CALL_LEASE
        running = len(standing.running)
        count, last_end = standing.started, standing.last_end
        if last_end is not None and left.in_flight > running:
            last_end = max(last_end, _last_told(left))
        active_at = self._instant(last_end)
        try:
            adopted = await self._store.adopt(
                live.id, in_flight=running, call_count=count, hold_until=hold_until, active_at=active_at
            )
            live.record = adopted or live.record
        except StoreUnavailable:
            self._lifecycle.unwritten.correct(live, in_flight=running, call_count=count, active_at=active_at)
        live.in_flight += running - 1  # the one that `_held` put there
        for call in standing.running:
            await self._resume(live, call)
        if not running:
            await self._lifecycle.expiry.check(live)

    def _instant(self, monotonic: float | None) -> Instant | None:
        """Return the moment of a monotonic time of this machine."""
        if monotonic is None:
            return None
        now = self._clock.now()
        return Instant(monotonic, now.wall - (now.monotonic - monotonic))

    async def _resume(self, live: LiveSession, call: PendingCall) -> None:
        """Have the next call wait until this one, which an earlier gateway gave, has ended."""
        await live.turns.enter(math.inf)
        live.calls.add(call)

        def done() -> None:
            live.calls.discard(call)
            live.turns.leave()
            self._lifecycle.spawn(self._lifecycle.settle(live, started=call.ran))

        call.when_done(done)
        call.reply.add_done_callback(_ignore)


def _lease(session: Session) -> WorkerLease:
    return WorkerLease(session.id, session.epoch, session.worker_id, session.app, session.timeout)


def _last_told(left: Session) -> float:
    """Return the last moment, on the monotonic clock, at which the end of a call may have been told without being on
    the record that was left.
    """
    return left.deadline - left.timeout + STORE_END_SLIDE


def _ignore(reply: asyncio.Future[bytes]) -> None:
    # Its caller went down with the other gateway; a repeat asks the worker itself.
    if not reply.cancelled() and not isinstance(reply.exception(), GatewayError | None):
        logger.error("a call of another gateway ended unexpectedly", exc_info=reply.exception())
