"""What the local pool has of one app version: its zygote, the workers that are ready, and how starts have gone."""

import asyncio
import contextlib
import copy
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from gateway.clock import Clock, Timer
from gateway.errors import AppStartFailed
from gateway.model import AppVersion, FunctionDescription
from gateway.workers.containment.choice import UNAVAILABLE
from gateway.workers.process import LocalWorker
from gateway.workers.shared import SharedWorkers
from gateway.workers.zygote import Zygote


class Version:
    """One app version in the pool. The pool decides; this remembers, and shares one zygote among all who need it."""

    def __init__(
        self,
        app: AppVersion,
        shared: SharedWorkers,
        new_zygote: Callable[[AppVersion], Awaitable[Zygote]],
        clock: Clock,
    ) -> None:
        """`new_zygote` starts a zygote; it raises AppStartFailed."""
        self.app = app
        self.shared = shared
        self.idle: deque[LocalWorker] = deque()
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
        self._new_zygote = new_zygote
        self._clock = clock
        self._zygote: asyncio.Task[Zygote] | None = None

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

    async def zygote(self) -> Zygote:
        """Return a zygote that has imported the app, starting one if there is none. Raises AppStartFailed."""
        task = self._zygote
        if task is not None and task.done() and _loaded(task) is None:
            self._zygote = None
            with contextlib.suppress(AppStartFailed):
                await task.result().stop()
        if self._zygote is None:
            self._zygote = asyncio.ensure_future(self._new_zygote(self.app))
        try:
            return await asyncio.shield(self._zygote)
        except AppStartFailed as error:
            # All who wait share the task. Each error is completed with the call that it answers, so none is shared.
            raise copy.copy(error) from None

    async def functions(self, timeout: float) -> Sequence[FunctionDescription] | None:
        """Return the app's functions; None when its import takes longer than that. Raises AppStartFailed."""
        zygote = _loaded(self._zygote)
        if zygote is not None:
            return zygote.functions
        gave_up = asyncio.Event()
        timer = self._clock.call_later(timeout, gave_up.set)
        loading = asyncio.ensure_future(self.zygote())
        waiting = asyncio.ensure_future(gave_up.wait())
        try:
            await asyncio.wait((loading, waiting), return_when=asyncio.FIRST_COMPLETED)
            return loading.result().functions if loading.done() else None
        finally:
            timer.cancel()
            waiting.cancel()
            loading.cancel()  # the import itself goes on, for whoever asks next

    async def stop_zygote(self) -> None:
        """End the zygote, if there is one. Workers that it forked live on."""
        task, self._zygote = self._zygote, None
        if task is None:
            return
        if not task.done():
            task.cancel()  # an import may take its time; nobody waits for it any more
        with contextlib.suppress(AppStartFailed, asyncio.CancelledError):
            await (await task).stop()


def _loaded(task: asyncio.Task[Zygote] | None) -> Zygote | None:
    """Return the zygote that a start has given, while it can be asked for workers."""
    if task is None or not task.done() or task.cancelled() or task.exception() is not None:
        return None
    return task.result() if task.result().alive else None
