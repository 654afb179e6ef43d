"""When sessions expire: one timer for each, and one step of the store for all that are due in the same moment."""

from collections.abc import Callable, Coroutine
from typing import Any

from gateway.clock import Clock
from gateway.model import Session, SessionStatus
from gateway.sessions.live import LiveSession
from gateway.stores.base import SessionStore
from gateway.timing import EXPIRY_SLACK

AT_ONCE = 100
"""Sessions that expire in one step of the store: some two milliseconds in which nothing else happens."""


class Expiry:
    """Has each session looked at when it may be due.

    Nothing is rescheduled by calls and keepalives: a timer that comes too early is set anew. The more sessions are due
    while one step is being taken, the more the next one takes with it.
    """

    def __init__(
        self,
        store: SessionStore,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, object]], object],
        over: Callable[[LiveSession, Session | None], object],
    ) -> None:
        """`over` is called with a session that is found to have finished, or without one when it is not on record."""
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._over = over
        self._due: dict[str, LiveSession] = {}
        self._expiring = False

    def look_in(self, live: LiveSession, delay: float) -> None:
        """Look at the session in so many seconds, and no more when it was to be looked at before."""
        if live.expiry is not None:
            live.expiry.cancel()
        live.expiry = self._clock.call_later(delay + EXPIRY_SLACK, lambda: self._look(live))

    async def check(self, *sessions: LiveSession) -> None:
        """Expire those of these sessions that are due, and set the timers of the others."""
        now = self._clock.now()
        found = {session.id: session for session in await self._store.expire_due([each.id for each in sessions], now)}
        for live in sessions:
            self._found(live, found.get(live.id), now.monotonic)

    def _look(self, live: LiveSession) -> None:
        left = live.latest().deadline - self._clock.now().monotonic
        if left > 0:
            # It only ever moves on, whoever else may have slid it meanwhile.
            self.look_in(live, left)
            return
        self._due[live.id] = live
        if not self._expiring:
            self._expiring = True
            self._spawn(self._expire())

    async def _expire(self) -> None:
        try:
            while self._due:
                batch = [self._due.pop(session_id) for session_id in list(self._due)[:AT_ONCE]]
                await self.check(*(live for live in batch if not live.over))
        finally:
            self._expiring = False

    def _found(self, live: LiveSession, session: Session | None, now: float) -> None:
        if session is None or session.status is not SessionStatus.ACTIVE:
            self._over(live, session)
            return
        left = session.deadline - now
        # Past its deadline and not expired: a call holds it. When that ends, the window slides by the whole timeout,
        # so that this is soon enough.
        self.look_in(live, left if left > 0 else session.timeout)
