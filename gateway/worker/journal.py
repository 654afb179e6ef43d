"""What the worker remembers of its session's calls, so that a repeat never runs twice.

Kept here rather than in the gateway, because the worker outlives it: whoever dies, the answer is where the state is.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from sessiongateway.worker.v1 import worker_pb2 as pb

MAX_ENTRIES = 1000
MAX_BYTES = 16 * 1024 * 1024
"""Answers that are kept for repeats, of one session. The oldest go first; the newest always stays."""


@dataclass(eq=False, slots=True)
class _Entry:
    fingerprint: bytes
    task: asyncio.Task[pb.Result]
    size: int = 0


class Journal:
    """Calls by request_id: running ones, and the answers of those that have ended."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def find(self, call: pb.Call) -> asyncio.Task[pb.Result] | None:
        """Return the task of the first call with the same request_id, if it is remembered. Raises ValueError when that
        was a call with another content.
        """
        entry = self._entries.get(call.request_id) if call.request_id else None
        if entry is None:
            return None
        if entry.fingerprint != call.fingerprint:
            raise ValueError(call.request_id)
        return entry.task

    def record(self, call: pb.Call, task: asyncio.Task[pb.Result]) -> None:
        """Remember a call that has been started."""
        if call.request_id:
            entry = self._entries[call.request_id] = _Entry(call.fingerprint, task)
            task.add_done_callback(lambda _: self._ended(call.request_id, entry))

    def _ended(self, request_id: str, entry: _Entry) -> None:
        if entry.task.cancelled() or not started(entry.task.result()):
            # Nothing was run, so the repeat may run.
            del self._entries[request_id]
            return
        entry.size = entry.task.result().ByteSize()
        self._bytes += entry.size
        while len(self._entries) > 1 and (len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES):
            oldest = next(iter(self._entries))
            if not self._entries[oldest].task.done():
                break
            self._bytes -= self._entries.pop(oldest).size


def started(result: pb.Result) -> bool:
    """Whether the function of a call was run."""
    return result.WhichOneof("outcome") != "failure" or result.failure.kind == pb.FAILURE_KIND_RAISED
