"""What the worker remembers of its session's calls, so that a repeat never runs twice.

Kept here rather than in the gateway, because the worker outlives it: whoever dies, the answer is where the state is.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from gateway.worker.outcome import Outcome

MAX_ENTRIES = 1000
MAX_BYTES = 16 * 1024 * 1024
"""Answers that are kept for repeats, of one session. The oldest go first; the newest always stays."""


@dataclass(eq=False, slots=True)
class Entry:
    """A call that was started, with the digest of all that was asked for."""

    fingerprint: bytes
    task: asyncio.Task[Outcome]
    size: int = 0


class Journal:
    """Calls by request_id: running ones, and the answers of those that have ended."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0

    def find(self, request_id: str) -> Entry | None:
        """Return the first call with this request_id, if it is remembered."""
        return self._entries.get(request_id)

    def record(self, request_id: str, fingerprint: bytes, task: asyncio.Task[Outcome]) -> None:
        """Remember a call that has been started, and may have ended."""
        entry = self._entries[request_id] = Entry(fingerprint, task)
        if task.done():
            self._ended(request_id, entry)
        else:
            task.add_done_callback(lambda _: self._ended(request_id, entry))

    def _ended(self, request_id: str, entry: Entry) -> None:
        if entry.task.cancelled() or not entry.task.result().started:
            # Nothing was run, so the repeat may run.
            del self._entries[request_id]
            return
        entry.size = entry.task.result().size
        self._bytes += entry.size
        while len(self._entries) > 1 and (len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES):
            oldest = next(iter(self._entries))
            if not self._entries[oldest].task.done():
                break
            self._bytes -= self._entries.pop(oldest).size
