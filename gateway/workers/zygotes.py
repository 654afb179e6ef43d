"""Where the workers of one app version on this machine come from: its zygote, shared by all who need it."""

import asyncio
import contextlib
import copy
from collections.abc import Awaitable, Callable, Sequence

from gateway.clock import Clock
from gateway.errors import AppStartFailed
from gateway.model import AppVersion, FunctionDescription
from gateway.workers.version import Source
from gateway.workers.zygote import Zygote


class Zygotes(Source):
    """One zygote at a time."""

    def __init__(self, app: AppVersion, new_zygote: Callable[[AppVersion], Awaitable[Zygote]], clock: Clock) -> None:
        """`new_zygote` starts a zygote; it raises AppStartFailed."""
        self._app = app
        self._new_zygote = new_zygote
        self._clock = clock
        self._zygote: asyncio.Task[Zygote] | None = None

    async def zygote(self) -> Zygote:
        """Return a zygote that has imported the app, starting one if there is none. Raises AppStartFailed."""
        task = self._zygote
        if task is not None and task.done() and _loaded(task) is None:
            self._zygote = None
            with contextlib.suppress(AppStartFailed):
                await task.result().stop()
        if self._zygote is None:
            self._zygote = asyncio.ensure_future(self._new_zygote(self._app))
        try:
            return await asyncio.shield(self._zygote)
        except AppStartFailed as error:
            # All who wait share the task. Each error is completed with the call that it answers, so none is shared.
            raise copy.copy(error) from None

    async def functions(self, timeout: float) -> Sequence[FunctionDescription] | None:
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

    async def stop(self) -> None:
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
