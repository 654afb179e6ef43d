"""A guarded store that also takes the time of its operations."""

import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from gateway.clock import Clock, Instant
from gateway.metrics import STORE_BUCKETS, Histogram
from gateway.model import Session
from gateway.stores.base import SessionStore, StoreFailure, StoreProblem
from gateway.stores.guarded import GuardedStore

P = ParamSpec("P")
T = TypeVar("T")

OPERATIONS = tuple(sorted(SessionStore.__abstractmethods__ - {"open", "close", "inspect", "recover"}))

# Not the gateway's clock: nothing is decided by it, and it is done twice for each call.
_now = time.perf_counter


class MeteredStore(GuardedStore):
    """See `GuardedStore`. The time of an operation includes what it waited for, and attempts that were repeated."""

    def __init__(self, store: SessionStore, clock: Clock) -> None:
        super().__init__(store, clock)
        self.seconds = {operation: Histogram(STORE_BUCKETS) for operation in OPERATIONS}
        # Present from the start: Prometheus does not see a number rise that was not there before.
        self.failures = Counter({problem.name.lower(): 0 for problem in StoreProblem})
        """How often the store has become unavailable, by the problem."""
        self._admits = self.seconds["admit"]
        self._finishes = self.seconds["finish"]

    async def admit(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        began = _now()
        try:
            return await super().admit(session_id, now, hold_until)
        finally:
            self._admits.observe(_now() - began)

    async def finish(self, session_id: str, now: Instant, *, started: bool) -> Session | None:
        began = _now()
        try:
            return await super().finish(session_id, now, started=started)
        finally:
            self._finishes.observe(_now() - began)

    async def _guard(self, operation: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        began = _now()
        try:
            return await super()._guard(operation, *args, **kwargs)
        finally:
            self.seconds[operation.__name__].observe(_now() - began)

    def _fail(self, failure: StoreFailure, since: float) -> None:
        if self.available:
            self.failures[failure.problem.name.lower()] += 1
        super()._fail(failure, since)
