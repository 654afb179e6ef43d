"""What is counted of calls and sessions. A gateway whose metrics nobody scrapes counts no calls."""

import time
from collections import Counter
from collections.abc import Callable

from gateway.metrics import CALL_BUCKETS, LATENESS_BUCKETS, Histogram
from gateway.model import TRANSITIONS, Session, SessionStatus
from gateway.sessions.requests import CallProgress
from gateway.trace import TraceContext
from gateway.workers.partials import Partials

MAX_APPS = 100
"""Apps that are counted by their names."""

OTHER = "other"
"""Stands for what is not deployed, and for all apps beyond so many. No app has this name while it is told apart."""

Outcome = type[BaseException] | None
"""How a call ended: None well, else with an error of this class."""

# Not the gateway's clock: this is done for each call, nothing is decided by it, and it costs a third.
_now = time.monotonic


class TimedProgress(CallProgress):
    """Notes when the call began and when a worker was given it."""

    __slots__ = ("began", "given")

    def __init__(
        self,
        call_id: str,
        deadline: float | None,
        fingerprint: bytes = b"",
        partials: Partials | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        # Without the base class's, which would set `started`: this is done for each call.
        self.call_id = call_id
        self.deadline = deadline
        self.fingerprint = fingerprint
        self.partials = partials
        self.trace = trace
        self.began = _now()
        self.given = 0.0
        """0.0 before it was."""

    @property
    def started(self) -> bool:
        """See `CallProgress`."""
        return self.given > 0.0

    @started.setter
    def started(self, started: bool) -> None:
        self.given = _now() if started else 0.0


class AppCalls:
    """The calls of one app."""

    __slots__ = ("ended", "queued", "worked")

    def __init__(self) -> None:
        self.ended: Counter[tuple[Outcome, bool]] = Counter()
        """By how they ended, and whether a worker had been given them."""
        self.queued = Histogram(CALL_BUCKETS)
        """Seconds from the arrival of a call until a worker was given it, or until it ended without."""
        self.worked = Histogram(CALL_BUCKETS)
        """Seconds from then to its end."""


class CallMeter:
    """Counts calls by app. Only deployed apps are told apart: callers cannot make up names to be counted."""

    def __init__(self, is_deployed: Callable[[str], bool]) -> None:
        """`is_deployed` is asked for names that are not known yet."""
        self.apps: dict[str, AppCalls] = {OTHER: AppCalls()}
        self._is_deployed = is_deployed

    def over(self, app: str, progress: CallProgress, outcome: Outcome) -> None:
        """Count a call that has ended."""
        assert isinstance(progress, TimedProgress)
        calls = self.apps.get(app) or self._calls_of(app)
        now, began, given = _now(), progress.began, progress.given
        calls.queued.observe((given or now) - began)
        if given:
            calls.worked.observe(now - given)
            calls.ended[outcome, True] += 1
        else:
            calls.ended[outcome, False] += 1

    def _calls_of(self, app: str) -> AppCalls:
        if len(self.apps) > MAX_APPS or not self._is_deployed(app):
            return self.apps[OTHER]
        return self.apps.setdefault(app, AppCalls())


class LifeMeter:
    """Counts sessions."""

    def __init__(self) -> None:
        self.begun = 0
        self.adopted = 0
        """Taken over from an earlier gateway, with their workers."""
        # All that there may be, from the start: Prometheus does not see a number rise that was not there before.
        self.over = Counter({(status.value, reason.value): 0 for (_, reason), status in TRANSITIONS.items()})
        """By status and reason."""
        self.lateness = Histogram(LATENESS_BUCKETS)
        """Seconds from the moment at which a session was due until it had expired."""

    def ended(self, session: Session, now: float) -> None:
        """Count a session that is over, with its last record; `now` is on the monotonic clock."""
        self.over[session.status.value, session.end_reason.value if session.end_reason else ""] += 1
        if session.status is SessionStatus.EXPIRED:
            self.lateness.observe(max(0.0, now - session.deadline))
