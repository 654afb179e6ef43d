"""The longest call of an app, as the gateway sees to it.

A worker cancels its calls in time by itself. That does nothing to a function that ignores it, or that blocks the loop
on which it would be cancelled; those the gateway ends, and the worker with them.
"""

import asyncio
from collections.abc import Callable
from typing import Self

from gateway.clock import Clock
from gateway.model import AppVersion
from gateway.timing import CALL_LIMIT_GRACE
from gateway.workers.connection import SentCall
from gateway.workers.replies import timed_out_error


class CallLimit:
    """Bounds the calls of one worker."""

    def __init__(self, app: AppVersion, limit: float, clock: Clock, on_overdue: Callable[[str], object]) -> None:
        """`limit` in seconds. `on_overdue` ends the worker; it gets the call's id, empty for one that is not known."""
        self._app = app
        self._limit = limit
        self._clock = clock
        self._on_overdue = on_overdue
        self._over = False
        """The worker is being ended for a call that is not known."""

    @classmethod
    def of(cls, app: AppVersion, clock: Clock, on_overdue: Callable[[str], object]) -> Self | None:
        """Return what bounds the calls of a worker of this app; None if nothing is to."""
        limit = app.limits.call
        return None if limit is None else cls(app, limit, clock, on_overdue)

    def bound(self, call: SentCall) -> None:
        """Have the worker ended if it is not through with the call soon after the limit."""

        def overdue() -> None:
            if self._over:
                return  # due in the same moment, and never begun: that of which nothing is known was before it
            call.overdue = timed_out_error(self._app.ref, call.call.function, f"{self._limit:g}")
            self._on_overdue(call.call.call_id)

        timer = self._clock.call_later(self._limit + CALL_LIMIT_GRACE, overdue)
        call.when_done(timer.cancel)

    def bound_unheard(self, heard: asyncio.Future[None]) -> None:
        """The same for a worker that does not say which calls it runs: one of them blocks its loop."""

        def overdue() -> None:
            self._over = True
            self._on_overdue("")

        timer = self._clock.call_later(self._limit + CALL_LIMIT_GRACE, overdue)
        heard.add_done_callback(lambda _: timer.cancel())
