"""The life of sessions: how they begin, are kept alive, and end.

Everything that ends a session goes through `_finish`: the record first, then whoever waits, then the worker.
"""

import contextlib
import logging
from collections.abc import Callable

from gateway.clock import Clock
from gateway.config import Settings
from gateway.errors import SessionNotFound, StoreUnavailable, WorkerExit
from gateway.model import LIMIT_REASONS, AppVersion, EndReason, Session, SessionStatus
from gateway.sessions.duties import Duties
from gateway.sessions.expiry import Expiry
from gateway.sessions.finished import finished_error
from gateway.sessions.live import LiveSession, draining, elsewhere
from gateway.sessions.meter import LifeMeter
from gateway.sessions.quotas import too_many_sessions
from gateway.sessions.turns import Turns
from gateway.sessions.unwritten import Unwritten
from gateway.sessions.watch import News
from gateway.share import WHOLE, Owning
from gateway.stores.base import SessionStore
from gateway.timing import CALL_LEASE, CALL_LEASE_RENEWAL, EXPIRY_SWEEP, PURGE_INTERVAL
from gateway.workers.base import Worker, WorkerPool

logger = logging.getLogger("gateway.sessions")

_SWEEP_BATCH = 100

Watcher = Callable[[Session], object]
"""Called with a session that has just ended or expired."""


class Lifecycle:
    """Keeps records, live sessions, workers and timers in step."""

    def __init__(
        self, store: SessionStore, pool: WorkerPool, clock: Clock, settings: Settings, share: Owning = WHOLE
    ) -> None:
        self.live: dict[str, LiveSession] = {}
        """The active sessions whose workers this gateway holds, by id."""
        self.news = News()
        """Whom to tell that a session began or is over."""
        self.meter = LifeMeter()
        self._store = store
        self._pool = pool
        self._clock = clock
        self._settings = settings.sessions
        self._share = share
        self.unwritten = Unwritten(clock)
        """What happens to sessions while the store fails."""
        self._duties = Duties(clock)
        self.spawn, self.settled = self._duties.spawn, self._duties.settled
        self.expiry = Expiry(store, clock, self.spawn, self._over)
        """Which looks at each session when it may be due."""
        self._watchers: dict[str, set[Watcher]] = {}
        self._closed = False

    async def start(self) -> None:
        """Begin the periodic duties."""
        self._duties.every(CALL_LEASE_RENEWAL, "hold", self._renew_holds)
        self._duties.every(EXPIRY_SWEEP, "sweep", self.expire_overdue)
        self._duties.every(PURGE_INTERVAL, "purge", self._purge)

    async def close(self, *, end_sessions: bool) -> None:
        """Stop; end every session of this gateway, or leave them as they are for the next one."""
        self._closed = True
        self._duties.stop()
        for live in list(self.live.values()):
            if end_sessions:
                await self.end_surely(live, EndReason.GATEWAY_RESTARTED)
            else:
                live.leave()
        await self._duties.done()

    async def open(
        self,
        session_id: str,
        app: AppVersion,
        worker: Worker,
        *,
        principal: str,
        epoch: int,
        timeout: int,
        at_most: int | None = None,
    ) -> LiveSession:
        """Begin a session whose first call is admitted. The worker is ended when that fails.

        Raises QuotaExceeded when its owner has `at_most` active ones.
        """
        if not self._share.owns(session_id):  # any more, since the id was drawn
            self._pool.end(worker)
            raise draining()
        now = self._clock.now()
        session = Session(
            id=session_id,
            owner=principal,
            app=app.ref,
            worker_id=worker.id,
            epoch=epoch,
            timeout=timeout,
            created_at=now.wall,
            expires_at=now.wall + timeout,
            deadline=now.monotonic + timeout,
            last_call_at=now.wall,
            call_count=1,
            in_flight=1,
        )
        try:
            created = await self._store.create(session, now.monotonic + CALL_LEASE, at_most)
            if not created and at_most is not None:
                raise too_many_sessions(at_most)
        except BaseException:
            self._pool.end(worker)
            raise
        self.news.tell(principal)
        self.meter.begun += 1
        return self.hold(session, worker)

    def hold(self, session: Session, worker: Worker) -> LiveSession:
        """Take an active session and its worker into this gateway's hands."""
        turns = Turns(session.id, worker.app.concurrency, self._settings.queue_size, self._clock)
        live = LiveSession(
            session.id, session.owner, worker.app, session.epoch, worker, turns, session, in_flight=session.in_flight
        )
        self.live[session.id] = live
        self.expiry.look_in(live, max(0.0, session.deadline - self._clock.now().monotonic))
        self._bound_lifetime(live, session.created_at)
        worker.when_lost(lambda exit_: self._worker_lost(live, exit_))
        return live

    def _bound_lifetime(self, live: LiveSession, created_at: float) -> None:
        """End the session at the latest when it has lived for as long as its app allows."""
        limit = live.app.limits.max_lifetime
        if limit is None:
            return
        # By the wall clock, which alone is on record; a session that comes from an earlier gateway may be overdue.
        left = created_at + limit - self._clock.now().wall

        def outlived() -> None:
            self.spawn(self._outlived(live))

        if left <= 0:
            outlived()
        else:
            live.lifetime = self._clock.call_later(left, outlived)

    async def _outlived(self, live: LiveSession) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._expire(live.id)  # if that was due before, though nobody has come to it yet
        if not live.over:
            await self.end_surely(live, EndReason.MAX_LIFETIME)

    async def find(self, session_id: str, principal: str) -> LiveSession:
        """Return the active session of this caller. Raises SessionNotFound, SessionExpired, SessionEnded."""
        live = self.live.get(session_id)
        if live is not None and live.owner == principal:
            return live
        # The store says whose it is: a foreign id takes the same way as one that never was (contract, rule 8).
        session = await self._store.get(session_id, principal)
        if session is None:
            raise SessionNotFound.of(session_id)
        if session.status is SessionStatus.ACTIVE:
            live = self.live.get(session_id)
            if live is not None:  # it has been opened meanwhile
                return live
            self._check_here(session)
            # On record, but no worker of this gateway has it: its worker is going, or was never ours.
            session = await self._finish(session_id, EndReason.WORKER_LOST, WorkerExit()) or session
        raise finished_error(session)

    async def admit(self, live: LiveSession) -> Session:
        """Admit a call, which must be given to `settle` in the end, and return the record.

        Raises SessionExpired and SessionEnded.
        """
        now = self._clock.now()
        session = await self._store.admit(live.id, now, now.monotonic + CALL_LEASE)
        if session is None:
            self._forget(live)
            raise SessionNotFound.of(live.id)
        if session.status is not SessionStatus.ACTIVE:
            self._release(live, session)
            raise finished_error(session)
        live.remember(session)
        live.in_flight += 1
        return session

    async def settle(self, live: LiveSession, *, started: bool) -> Session | None:
        """End a call that was admitted, and return the session as it is now. A store that fails is no error of it."""
        live.in_flight -= 1
        if live.left:
            return live.latest()
        now = self._clock.now()
        try:
            session = await self._store.finish(live.id, now, started=started)
        except StoreUnavailable:
            return self.unwritten.settle(live, now, started=started)
        live.record = session or live.record
        return session

    async def get(self, session_id: str, principal: str | None) -> Session:
        """Return a session of this caller's, or anybody's. Raises SessionNotFound."""
        session = await self._store.get(session_id, principal)
        if session is None:
            raise SessionNotFound.of(session_id)
        due = session.status is SessionStatus.ACTIVE and session.deadline <= self._clock.now().monotonic
        if due and not self._share.elsewhere(session_id):
            session = await self._expire(session_id) or session
        return session

    async def keepalive(self, session_id: str, principal: str) -> Session:
        """Slide the window. Raises SessionNotFound, SessionExpired, SessionEnded."""
        session = await self._store.get(session_id, principal)
        if session is None:
            raise SessionNotFound.of(session_id)
        if session_id not in self.live:
            self._check_here(session)
        session = await self._store.renew(session_id, self._clock.now()) or session
        live = self.live.get(session_id)
        if session.status is not SessionStatus.ACTIVE:
            if live is not None:
                self._release(live, session)
            raise finished_error(session)
        if live is not None:
            live.remember(session)  # which may be older than what has been taken since
        return session

    async def end(self, session_id: str, principal: str | None, reason: EndReason = EndReason.CALLER) -> Session:
        """End a session and release its worker at once. A finished one is returned as it is. Raises SessionNotFound."""
        session = await self.get(session_id, principal)
        if session.status is not SessionStatus.ACTIVE:
            return session
        if session_id not in self.live:
            self._check_here(session)
        return await self._finish(session_id, reason) or session

    async def end_lost(self, session_id: str) -> None:
        """End a session whose worker is not there any more; or expire it, if it was due before that was known."""
        session = await self._store.expire_if_due(session_id, self._clock.now())
        session = await self._finish(session_id, EndReason.WORKER_LOST, WorkerExit()) or session
        if session is not None:
            self.meter.over[session.status.value, session.end_reason.value if session.end_reason else ""] += 1

    async def lost(self, live: LiveSession) -> Session | None:
        """Return the session of a worker that has died, once its end is on record or the store fails."""
        exit_ = live.worker.exit
        if exit_ is not None:
            return await self._finish_lost(live, exit_)
        try:
            return await self._store.get(live.id)
        except StoreUnavailable:
            return live.latest()

    async def end_surely(self, live: LiveSession, reason: EndReason, exit_: WorkerExit | None = None) -> Session | None:
        """End a session that cannot go on, also when the store fails: its record is then written later."""
        if live.left:
            return live.latest()
        try:
            return await self._finish(live.id, reason, exit_)
        except StoreUnavailable:
            if not live.over:
                self._release(live, self.unwritten.end(live, reason, exit_))
            return live.latest()

    def drop(self, which: Callable[[str], bool]) -> None:
        """Let go of the sessions with these ids, which are not this gateway's any more, and tell whoever waits. Nothing
        that is known of them here goes on record.
        """
        for live in [live for session_id, live in self.live.items() if which(session_id)]:
            del self.live[live.id]
            live.over = live.left = True
            live.leave()
            self._pool.detach(live.worker)
            self._watchers.pop(live.id, None)
        self.unwritten.forget(which)

    async def catch_up(self, store: SessionStore, outage: float) -> None:
        """Write what happened while the store failed, before anyone else may use it. Raises StoreFailure."""
        now = self._clock.now().monotonic
        for live in await self.unwritten.write(store, self.live.values(), outage):
            if not self._closed:
                self.expiry.look_in(live, max(0.0, live.record.deadline - now))

    def watch(self, session_id: str, watcher: Watcher) -> Callable[[], None]:
        """Call back when the session ends or expires. Returns what undoes it."""
        self._watchers.setdefault(session_id, set()).add(watcher)

        def forget() -> None:
            watchers = self._watchers.get(session_id)
            if watchers is not None:
                watchers.discard(watcher)
                if not watchers:
                    del self._watchers[session_id]

        return forget

    def _check_here(self, session: Session) -> None:
        """Raise GatewayDraining for an active session that is another gateway's."""
        if session.status is SessionStatus.ACTIVE and self._share.elsewhere(session.id):
            raise elsewhere(session.id)

    async def _finish(self, session_id: str, reason: EndReason, exit_: WorkerExit | None = None) -> Session | None:
        live = self.live.get(session_id)
        if live is None:
            return await self._store.end(session_id, reason, self._clock.now(), exit_)
        # No call begins meanwhile: it would be taken back from the count as one that did not.
        live.turns.pause()
        try:
            running = len(live.calls)
            session = await self._store.end(session_id, reason, self._clock.now(), exit_, running=running)
            if session is not None:
                self._release(live, session)
        finally:
            live.turns.resume()
        return session

    async def _expire(self, session_id: str) -> Session | None:
        session = await self._store.expire_if_due(session_id, self._clock.now())
        if session is not None:
            self._release_expired(session)
        return session

    def _release_expired(self, session: Session) -> None:
        live = self.live.get(session.id)
        if live is not None and session.status is not SessionStatus.ACTIVE:
            self._release(live, session)

    def _release(self, live: LiveSession, session: Session) -> None:
        """Let go of a session that is over: its callers, its worker, its watchers."""
        if self.live.pop(live.id, None) is None:
            return
        live.over = True
        live.record = session
        live.close(lambda run_state: finished_error(session, run_state))
        assert session.end_reason is not None
        self.meter.ended(session, self._clock.now().monotonic)
        # Many expire at once, and nobody waits for the ends of their workers.
        expired = session.status is SessionStatus.EXPIRED
        self._pool.end(live.worker, session.end_reason.value, in_turn=expired)
        logger.info("session %s: %s", session.id, session.end_reason.value, extra={"session_id": session.id})
        for watcher in list(self._watchers.pop(session.id, ())):
            watcher(session)
        self.news.tell(session.owner)

    def _forget(self, live: LiveSession) -> None:
        """Let go of a session whose record somebody has deleted: nobody could ever end it."""
        if self.live.pop(live.id, None) is None:
            return
        live.over = True
        live.close(lambda run_state: SessionNotFound.of(live.id, run_state))
        self._pool.end(live.worker)
        logger.error("session %s is no longer on record; its worker is ended", live.id, extra={"session_id": live.id})

    def _worker_lost(self, live: LiveSession, exit_: WorkerExit) -> None:
        logger.warning("worker %s died (%s)", live.worker.id, exit_, extra={"session_id": live.id})
        self.spawn(self._finish_lost(live, exit_))

    async def _finish_lost(self, live: LiveSession, exit_: WorkerExit) -> Session | None:
        if exit_.limit:
            # How the process ended is no news: it was killed.
            return await self.end_surely(live, LIMIT_REASONS[exit_.limit])
        return await self.end_surely(live, EndReason.WORKER_LOST, exit_)

    def _over(self, live: LiveSession, session: Session | None) -> None:
        if session is None:
            self._forget(live)
        else:
            self._release(live, session)

    async def _renew_holds(self) -> None:
        busy = [live.id for live in self.live.values() if live.in_flight > 0]
        if busy:
            await self._store.hold(busy, self._clock.now().monotonic + CALL_LEASE)

    async def expire_overdue(self) -> None:
        """Expire sessions that are due and that no timer has come to yet."""
        now = self._clock.now()
        # Those of other processes are theirs to tell of.
        due = [session_id for session_id in await self._store.due(now, _SWEEP_BATCH) if self._share.owns(session_id)]
        for session in await self._store.expire_due(due, now) if due else ():
            self._release_expired(session)

    async def _purge(self) -> None:
        past = self._clock.now().wall - self._settings.retention
        await self._store.purge(past)
        await self._store.forget_events(past)
