"""What a pool has of one app version: the workers that are ready, where more come from, and how starts have gone."""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from gateway.clock import Timer
from gateway.errors import AppStartFailed
from gateway.model import AppVersion, FunctionDescription
from gateway.workers.containment.choice import UNAVAILABLE
from gateway.workers.pooled import PooledWorker
from gateway.workers.shared import SharedWorkers


class Source(ABC):
    """Where the workers of a version come from."""

    @abstractmethod
    async def functions(self, timeout: float) -> Sequence[FunctionDescription] | None:
        """Return the app's functions; None when its import takes longer than that. Raises AppStartFailed."""

    @abstractmethod
    async def stop(self) -> None:
        """End what it has running, if anything. The workers that came from there live on."""


class Version:
    """One app version in the pool. The pool decides; this remembers."""

    def __init__(self, app: AppVersion, shared: SharedWorkers, source: Source) -> None:
        self.app = app
        self.shared = shared
        self.source = source
        self.idle: deque[PooledWorker] = deque()
        """Workers that are ready and nobody's."""
        self.starting = 0
        self.keep_ready = False
        self.backoff = 0.0
        """Seconds of the last rest after a failed start."""
        self.resting: Timer | None = None
        self.last_used = 0.0
        self._lack = ""
        """Why its isolation was not to be had the last time."""
        self._waits_for_change = False

    @property
    def refills(self) -> bool:
        """Whether workers are to be made ready that nobody has asked for."""
        return self.keep_ready and self.resting is None and not self._waits_for_change

    def want_ready(self) -> None:
        """Keep workers ready from now on: something has changed."""
        self.keep_ready = True
        self._waits_for_change = False

    def has_started(self) -> None:
        """A worker has become ready."""
        self.backoff = 0.0
        self._lack = ""
        self._waits_for_change = False

    def level_of(self, error: AppStartFailed) -> int:
        """Return how loud a failed start is told.

        What the machine lacks is told once, as long as it is the same; and only who asks for the app, or a deployment,
        has it looked for again: time alone mends nothing there.
        """
        lack = str(error) if error.metadata.get("exceptionType") == UNAVAILABLE else ""
        is_known = bool(lack) and lack == self._lack
        self._lack = lack
        self._waits_for_change = bool(lack)
        return logging.DEBUG if is_known else logging.WARNING
