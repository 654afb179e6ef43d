"""What one caller may take of the gateway, so that there is enough left for the others.

Calls and new sessions are counted in this process, live sessions on record, where those of all processes are.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.clock import Clock
from gateway.config import QuotaSettings
from gateway.errors import QuotaExceeded, RunState
from gateway.stores.base import SessionStore
from gateway.timing import RETRY_HINT

_FEW = 1024
"""So many callers are remembered before it is worth the time to forget some."""


class Rate:
    """So many events in a period: each takes a token from a bucket that has so many and is filled within the period.

    What is kept of a key is the moment at which its bucket is full again (the generic cell rate algorithm of
    ITU-T I.371).
    """

    def __init__(self, period: float) -> None:
        """`period` in seconds."""
        self._period = period
        self._full_at: dict[str, float] = {}
        self._kept = _FEW

    def wait(self, key: str, limit: int, now: float) -> float:
        """Return for how many seconds the next event must wait; 0.0: it may happen."""
        full_at = max(self._full_at.get(key, now), now)
        # Rounded, so that no event of a full bucket is refused for what adding up in floating point is wrong by.
        return max(0.0, round(full_at + self._period / limit - (now + self._period), 6))

    def take(self, key: str, limit: int, now: float) -> None:
        """Count one event."""
        self._full_at[key] = max(self._full_at.get(key, now), now) + self._period / limit
        if len(self._full_at) > self._kept:
            # A full bucket is as good as none. Whoever makes up keys must not fill the memory.
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
            self._kept = max(_FEW, 2 * len(self._full_at))


class Quotas:
    """The quotas of all callers, and what each has used of its own."""

    def __init__(self, settings: QuotaSettings, store: SessionStore, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._calls = Rate(period=1.0)
        self._new = Rate(period=60.0)
        self._opening: Counter[str] = Counter()

    def admit(self, principal: str, *, size: int, new: bool) -> None:
        """Count a call with an input of so many bytes, or the first of a new session. Raises QuotaExceeded, and then it
        does not count.
        """
        quota = self._settings.of(principal)
        now = self._clock.now().monotonic
        if quota.input_bytes is not None and size > quota.input_bytes:
            raise _exceeded("input_bytes", quota.input_bytes, f"the input has {size} bytes", None)
        if new and quota.new_sessions_per_minute is not None:
            self._check(self._new, principal, quota.new_sessions_per_minute, "new_sessions_per_minute", now)
        if quota.calls_per_second is not None:
            self._check(self._calls, principal, quota.calls_per_second, "calls_per_second", now)
            self._calls.take(principal, quota.calls_per_second, now)
        if new and quota.new_sessions_per_minute is not None:
            self._new.take(principal, quota.new_sessions_per_minute, now)

    @asynccontextmanager
    async def opening(self, principal: str) -> AsyncIterator[int | None]:
        """Keep a place for a session while it is opened, until it is on record. Yields how many may be on record, None
        for any number: other processes open some too. Raises QuotaExceeded.
        """
        limit = self._settings.of(principal).live_sessions
        if limit is None:
            yield None
            return
        live = await self._store.count_active(principal, limit)
        if live + self._opening[principal] >= limit:
            raise too_many_sessions(limit)
        self._opening[principal] += 1
        try:
            yield limit
        finally:
            self._opening[principal] -= 1
            if not self._opening[principal]:
                del self._opening[principal]

    def _check(self, rate: Rate, principal: str, limit: int, name: str, now: float) -> None:
        wait = rate.wait(principal, limit, now)
        if wait > 0.0:
            raise _exceeded(name, limit, "more came in that time", wait)


def too_many_sessions(limit: int) -> QuotaExceeded:
    """Return the error of a caller who has as many live sessions as it may."""
    return _exceeded("live_sessions", limit, "as many sessions are live", RETRY_HINT)


def _exceeded(name: str, limit: int, why: str, retry_after: float | None) -> QuotaExceeded:
    return QuotaExceeded(
        f"this caller's quota {name} is {limit}: {why}",
        metadata={"quota": name, "limit": str(limit)},
        run_state=RunState.NOT_STARTED,
        retry_after=retry_after,
    )
