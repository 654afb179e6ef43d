"""Did my call run? The journal of answers, by which a repeated request_id never runs twice.

A call with a request_id goes on when its caller goes away: a cut connection looks the same as a cancellation, and the
repeat that follows wants the answer. Only a call that was not yet started is dropped with its last caller.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config import SessionSettings
from gateway.errors import GatewayError, RequestIdReused, RunState
from gateway.sessions.requests import CallProgress, RunAnswer

_ENTRY_OVERHEAD = 512
"""Bytes that an entry costs beside its output, roughly."""


@dataclass(eq=False, slots=True)
class _Entry:
    fingerprint: bytes
    task: asyncio.Task[RunAnswer]
    progress: CallProgress
    waiting: int = 0
    size: int = 0
    done_at: float = 0.0


class Journal:
    """Answers by principal and request_id, bounded in number, in size and in age (settings `sessions.journal_*`)."""

    def __init__(self, settings: SessionSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._finished: deque[tuple[tuple[str, str], _Entry]] = deque()
        self._bytes = 0

    async def once(
        self,
        key: tuple[str, str],
        fingerprint: bytes,
        progress: CallProgress,
        run: Callable[[CallProgress], Awaitable[RunAnswer]],
    ) -> RunAnswer:
        """Run the call, or return the answer (or raise the error) that the same key had before.

        While the first still runs, the repeat waits for it. An error that says NOT_STARTED is not kept: the repeat
        runs, also one that waited. Raises RequestIdReused when the key stands for another content.
        """
        while True:
            self._forget_old()
            entry, is_first = self._entries.get(key), False
            if entry is None:
                entry, is_first = self._begin(key, fingerprint, progress, run), True
            elif entry.fingerprint != fingerprint:
                raise RequestIdReused.of(key[1])
            try:
                return await self._outcome(key, entry)
            except GatewayError as error:
                # The first may have given up at a deadline that is not this caller's.
                if is_first or error.run_state is not RunState.NOT_STARTED:
                    raise
                # It is forgotten by itself, but perhaps only in the next turn of the loop.
                self._drop(key, entry)

    async def _outcome(self, key: tuple[str, str], entry: _Entry) -> RunAnswer:
        """Wait for the call's end. When nobody waits any more, a call that has not started is dropped."""
        entry.waiting += 1
        try:
            return await asyncio.shield(entry.task)
        except asyncio.CancelledError:
            if entry.waiting == 1 and not entry.progress.started:
                entry.task.cancel()
                self._drop(key, entry)  # a repeat that comes now is a new call
            raise
        finally:
            entry.waiting -= 1

    def _begin(
        self,
        key: tuple[str, str],
        fingerprint: bytes,
        progress: CallProgress,
        run: Callable[[CallProgress], Awaitable[RunAnswer]],
    ) -> _Entry:
        task = asyncio.ensure_future(run(progress))
        entry = self._entries[key] = _Entry(fingerprint, task, progress)
        task.add_done_callback(lambda _: self._record(key, entry))
        return entry

    def _record(self, key: tuple[str, str], entry: _Entry) -> None:
        error = None if entry.task.cancelled() else entry.task.exception()
        not_started = isinstance(error, GatewayError) and error.run_state is RunState.NOT_STARTED
        if entry.task.cancelled() or not_started:
            self._drop(key, entry)
            return
        entry.size = _ENTRY_OVERHEAD + (0 if error else len(entry.task.result().output))
        entry.done_at = self._clock.now().monotonic
        self._bytes += entry.size
        self._finished.append((key, entry))
        self._forget_old()

    def _drop(self, key: tuple[str, str], entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]

    def _forget_old(self) -> None:
        oldest = self._clock.now().monotonic - self._settings.journal_window
        while self._finished:
            key, entry = self._finished[0]
            full = len(self._finished) > self._settings.journal_entries or self._bytes > self._settings.journal_bytes
            if not full and entry.done_at > oldest:
                return
            self._finished.popleft()
            del self._entries[key]
            self._bytes -= entry.size
