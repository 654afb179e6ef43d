"""Renews sessions over a stream, and tells whoever holds one how it fares."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from sessiongateway._convert import session_info
from sessiongateway._errors import FINAL_STATUSES, from_detail, from_rpc_error
from sessiongateway._exceptions import SessionGatewayError, StoreUnavailableError
from sessiongateway._pacing import Pacing
from sessiongateway._transport import KeepaliveCall, Transport
from sessiongateway._types import KeepaliveEvent
from sessiongateway.v1 import sessions_pb2

_log = logging.getLogger("sessiongateway")

_IDS_PER_MESSAGE = 1000

Sink = Callable[[KeepaliveEvent], None]


class _BrokenStreamError(Exception):
    """The stream ended, went silent, or is of no use for so many seconds, with no status that says why."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


@dataclass
class _Watch:
    """A session that is being renewed. The timeout, in seconds, is unknown before the first answer."""

    sink: Sink
    timeout: int | None


class Renewer:
    """Keeps any number of sessions alive over one stream, opened again whenever it breaks.

    Each session's sink is called on the event loop with every renewal, and once with the reason when the session is
    lost; after that the session is no longer renewed. Nothing runs while there is no session.
    """

    def __init__(self, transport: Transport, pacing: Pacing) -> None:
        """Nothing runs before the first `add`."""
        self._transport = transport
        self._pacing = pacing
        self._clock = pacing.clock
        self._live: dict[str, _Watch] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        # Of the present stream: when each session was first asked about without an answer yet, ...
        self._unanswered: dict[str, float] = {}
        # ... which sessions it has carried, and whether anything has come back.
        self._carried: set[str] = set()
        self._answered = False

    def add(self, session_id: str, sink: Sink, timeout: int | None = None) -> None:
        """Renew a session from now on, at once for the first time. Must be called on the event loop."""
        self._live[session_id] = _Watch(sink, timeout)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sessiongateway-keepalive")

    def discard(self, session_id: str) -> None:
        """Renew a session no longer. One that is not renewed is fine."""
        self._live.pop(session_id, None)
        self._carried.discard(session_id)
        self._unanswered.pop(session_id, None)
        self._changed.set()

    async def aclose(self) -> None:
        """Renew nothing any more, and close the stream. May be called twice."""
        self._live.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        attempt = 0
        while self._live:
            pause = 0.0
            try:
                await self._converse()
            except _BrokenStreamError as error:
                pause = error.pause
                _log.debug("keepalive stream: %s", error)
            except grpc.aio.AioRpcError as status:
                failure = from_rpc_error(status, is_run=False)
                if status.code() in FINAL_STATUSES:
                    self._lose_all(failure)
                pause = failure.retry_after or 0.0
                _log.debug("keepalive stream: %s", failure)
            except Exception as error:  # noqa: BLE001 - whatever it was, those who rely on the renewals must hear of it
                _log.exception("keepalive failed")
                self._lose_all(SessionGatewayError(f"keepalive failed: {error!r}", code="KEEPALIVE_FAILED"))
            if self._live:
                attempt = 0 if self._answered else attempt + 1
                await self._clock.sleep(max(pause, self._pacing.reconnect.delay(attempt, self._pacing.random())))

    async def _converse(self) -> None:
        """Use one stream until nothing is left to renew; raises when it breaks."""
        self._unanswered.clear()
        self._carried.clear()
        self._answered = False
        call = self._transport.stream_keepalive()
        reader = asyncio.ensure_future(self._read(call))
        try:
            while self._live:
                sent = self._clock.monotonic()
                spread = 1 - 0.2 * self._pacing.random()
                await self._within(reader, self._ask(call, list(self._live)), self._pacing.reply_timeout)
                while self._live and (wait := self._time_left(sent, spread)) > 0:
                    self._changed.clear()
                    if new := [each for each in self._live if each not in self._carried]:
                        await self._within(reader, self._ask(call, new), self._pacing.reply_timeout)
                        continue
                    await self._within(reader, self._changed.wait(), wait, or_fail=False)
        finally:
            call.cancel()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _time_left(self, sent: float, spread: float) -> float:
        """Return the seconds until the next renewal, but wake up for an answer that fails to come."""
        now = self._clock.monotonic()
        moments = []
        if timeouts := [watch.timeout for watch in self._live.values() if watch.timeout]:
            moments.append(sent + spread * min(timeouts) / 3)
        if self._unanswered:
            overdue = min(self._unanswered.values()) + self._pacing.reply_timeout
            if overdue <= now:
                raise _BrokenStreamError("no answer in time")
            moments.append(overdue)
        # Nothing is known only if a gateway answered without a session: try again after a while.
        return min(moments, default=sent + self._pacing.reply_timeout) - now

    async def _ask(self, call: KeepaliveCall, session_ids: list[str]) -> None:
        now = self._clock.monotonic()
        for session_id in session_ids:
            self._unanswered.setdefault(session_id, now)
        self._carried.update(session_ids)
        for start in range(0, len(session_ids), _IDS_PER_MESSAGE):
            batch = session_ids[start : start + _IDS_PER_MESSAGE]
            await call.write(sessions_pb2.StreamKeepaliveRequest(session_ids=batch))

    async def _read(self, call: KeepaliveCall) -> None:
        async for response in call:
            self._answered = True
            self._take(response)
        raise _BrokenStreamError("the gateway closed the stream")

    def _take(self, response: sessions_pb2.StreamKeepaliveResponse) -> None:
        session_id = response.session_id
        self._unanswered.pop(session_id, None)
        if not self._unanswered:
            # The next thing to wait for is no longer an answer.
            self._changed.set()
        watch = self._live.get(session_id)
        if watch is None:
            return
        outcome = response.WhichOneof("outcome")
        if outcome == "error":
            error = from_detail(response.error)
            if isinstance(error, StoreUnavailableError):
                # No session is lost, and none can be renewed: all are asked about again after a while.
                raise _BrokenStreamError("the gateway's store is unavailable", error.retry_after or 0.0)
            self.discard(session_id)
            watch.sink(KeepaliveEvent(session_id, None, error))
        elif outcome == "session":
            watch.timeout = response.session.session_timeout
            watch.sink(KeepaliveEvent(session_id, session_info(response.session), None))

    def _lose_all(self, failure: SessionGatewayError) -> None:
        lost, self._live = self._live, {}
        for session_id, watch in lost.items():
            watch.sink(KeepaliveEvent(session_id, None, failure))

    async def _within(
        self, reader: asyncio.Future[None], work: Coroutine[Any, Any, object], seconds: float, *, or_fail: bool = True
    ) -> None:
        """Wait for work, for so many seconds at most. A stream that breaks meanwhile raises its own error."""
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        timer: asyncio.Future[Any] = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({reader, task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() or (task.done() and task.exception() is not None):
                # The status is the reader's to tell: a write only knows that the stream is over.
                await reader
            if not task.done() and or_fail:
                raise _BrokenStreamError("the gateway takes nothing")
        finally:
            task.cancel()
            timer.cancel()
            await asyncio.gather(task, timer, return_exceptions=True)


class AsyncKeepaliveStream(AsyncIterator[KeepaliveEvent]):
    """Renews sessions until it is closed, and iterates over what happens to them.

    Who iterates more slowly than the sessions are renewed sees only the newest renewal of each; a loss is never
    skipped. Iterating ends when all sessions are lost or the stream is closed.
    """

    def __init__(
        self, renewer: Renewer, session_ids: Iterable[str], on_close: Callable[["AsyncKeepaliveStream"], object]
    ) -> None:
        """Start at once. Made by `client.stream_keepalive`."""
        self._renewer = renewer
        self._on_close = on_close
        self._events: dict[str, KeepaliveEvent] = {}
        self._news = asyncio.Event()
        self._live = set([session_ids] if isinstance(session_ids, str) else session_ids)
        for session_id in self._live:
            renewer.add(session_id, self._put)

    async def __anext__(self) -> KeepaliveEvent:
        while not self._events:
            if not self._live:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._events.pop(next(iter(self._events)))

    async def aclose(self) -> None:
        """Stop renewing. May be called twice."""
        self._live.clear()
        self._news.set()
        self._on_close(self)
        await self._renewer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _put(self, event: KeepaliveEvent) -> None:
        # Taken out first, so that it goes to the end: no session's news can keep back those of another.
        self._events.pop(event.session_id, None)
        self._events[event.session_id] = event
        if event.error is not None:
            self._live.discard(event.session_id)
        self._news.set()
