"""The way of finished spans to their collector: a bounded queue, and one batch at a time in a thread.

OpenTelemetry's own batch processor is not used: it encodes five hundred spans at a time, for which the event loop
waits, warns once more for each batch that a collector does not take, and holds up the end of the process for as long as
it retries.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from gateway.timing import TRACE_DELAY, TRACE_FLUSH

logger = logging.getLogger("gateway.tracing")

MAX_QUEUE = 4096
"""Spans that wait, some 2 KB each. A newer one takes the place of the oldest."""

BATCH = 64
"""Spans of one request. Encoding them takes the interpreter from the event loop for some milliseconds."""


class Exporter(Protocol):
    """Sends spans. Called in a thread."""

    def export(self, spans: Sequence[Any]) -> bool:
        """Send a batch, within TRACE_EXPORT. Returns whether the collector took it."""

    def shutdown(self) -> None:
        """Give up what is being sent, and close the connection."""


class Exporting:
    """Sends what is put. Whoever calls `start` calls `close`."""

    def __init__(self, endpoint: str, exporter: Exporter, *, patience: float = TRACE_FLUSH) -> None:
        """`patience` is for how many seconds `close` waits for the collector."""
        self._patience = patience
        self._endpoint = endpoint
        self._exporter = exporter
        self._queue: deque[Any] = deque(maxlen=MAX_QUEUE)
        self._lost = 0
        self._failing = False
        self._enough = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        # Of its own: the loop's default threads may all be busy with other things.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="traces")

    def put(self, span: Any) -> None:
        """Take a finished span. Called on the event loop."""
        if len(self._queue) == MAX_QUEUE:
            self._lost += 1
        self._queue.append(span)
        if len(self._queue) >= BATCH:
            self._enough.set()

    def start(self) -> None:
        """Send from now on."""
        logger.info("traces go to %s", self._endpoint)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Send what is left, as long as the patience lasts, and let go of the connection."""
        if self._task is not None:
            self._closing = True
            self._enough.set()
            await asyncio.wait((self._task,), timeout=self._patience)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._lost += len(self._queue)
        # Wakes a thread that waits to try again. One that waits for an answer ends with its timeout.
        self._exporter.shutdown()
        self._thread.shutdown(wait=False)
        if self._lost:
            logger.warning("%d spans were lost, which %s did not take", self._lost, self._endpoint)

    async def _run(self) -> None:
        while self._queue or not self._closing:
            if not self._closing:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), TRACE_DELAY)
            self._enough.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                await self._send(batch)
                if len(self._queue) < BATCH and not self._closing:
                    break

    async def _send(self, batch: Sequence[Any]) -> None:
        try:
            taken = await _in(self._thread, lambda: self._exporter.export(batch))
        except asyncio.CancelledError:
            self._lost += len(batch)
            raise
        except Exception:
            logger.exception("cannot send spans")
            taken = False
        if not taken:
            self._lost += len(batch)
            if not self._failing:
                logger.warning("%s does not take spans: they are dropped until it does", self._endpoint)
        elif self._failing:
            logger.info("%s takes spans again; %d were lost", self._endpoint, self._lost)
            self._lost = 0
        self._failing = not taken


async def _in(thread: ThreadPoolExecutor, work: Callable[[], bool]) -> bool:
    return await asyncio.get_running_loop().run_in_executor(thread, work)
