"""A watch of the caller's sessions that survives broken connections and gateways that come back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import grpc

from sessiongateway._convert import watch_event
from sessiongateway._errors import FINAL_STATUSES, from_rpc_error, transport_error
from sessiongateway._exceptions import GatewayDrainingError, SessionGatewayError, StoreUnavailableError
from sessiongateway._pacing import Pacing
from sessiongateway._transport import Transport, WatchCall
from sessiongateway._types import WatchEvent
from sessiongateway.v1 import sessions_pb2

_log = logging.getLogger("sessiongateway")


class _BrokenStreamError(Exception):
    """The stream ended or went silent, with no status that says why."""


class AsyncWatchStream(AsyncIterator[WatchEvent]):
    """Iterates over what happens to the caller's sessions, until it is closed.

    Entering it with `async with` waits until the watch stands: what happens from then on is told. Without that the
    first step of the iteration opens it. From then on, when the connection breaks or the gateway stops, it is opened
    again behind the last event that was read, as often as it takes: nothing is left out and nothing comes twice.

    Nothing is read ahead but one event: whoever iterates slowly falls behind at the gateway, which keeps events for as
    long as it keeps finished sessions. Cancelling a step of the iteration, such as by a timeout, loses no event. An
    error ends a step, not the watch: iterating on tries again behind the same event.
    """

    def __init__(
        self,
        transport: Transport,
        pacing: Pacing,
        resume_token: str,
        app: str,
        *,
        show_watching: bool,
        on_interruption: Callable[[SessionGatewayError], object] | None,
        on_close: Callable[["AsyncWatchStream"], object],
    ) -> None:
        """Made by `client.sessions.watch`."""
        self._transport = transport
        self._pacing = pacing
        self._token = resume_token
        self._app = app
        self._show_watching = show_watching
        self._on_interruption = on_interruption
        self._on_close = on_close
        self._call: WatchCall | None = None
        self._step: asyncio.Task[WatchEvent] | None = None
        self._standing = asyncio.Event()
        self._attempt = 0
        self._closed = False

    @property
    def resume_token(self) -> str:
        """Continues behind the last event that was read; "" before the watch stands. Good after a restart, too."""
        return self._token

    async def __anext__(self) -> WatchEvent:
        while not self._closed:
            step = self._begin_step()
            # Unlike awaiting it, this leaves the step running when it is cancelled: the next one takes its event.
            await asyncio.wait({step})
            if self._step is step and not self._closed:
                self._step = None
                event = step.result()
                self._token = event.resume_token
                return event
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Watch no longer; an iteration that waits ends. May be called twice."""
        self._closed = True
        self._on_close(self)
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        self._drop()

    async def __aenter__(self) -> Self:
        """Wait until the watch stands.

        Raises:
            SessionGatewayError: The gateway cannot be reached, or refuses the token or the app.
        """
        standing = asyncio.ensure_future(self._standing.wait())
        try:
            step = self._begin_step()
            await asyncio.wait({step, standing}, return_when=asyncio.FIRST_COMPLETED)
            if not self._standing.is_set() and not self._closed:
                self._step = None
                step.result()
        except BaseException:
            await self.aclose()
            raise
        finally:
            standing.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _begin_step(self) -> asyncio.Task[WatchEvent]:
        if self._step is None:
            self._step = asyncio.get_running_loop().create_task(self._next(), name="sessiongateway-watch")
        return self._step

    async def _next(self) -> WatchEvent:
        """Return the next event that is to be shown, over as many streams as it takes."""
        while True:
            try:
                event = watch_event(await self._read())
            except grpc.aio.AioRpcError as status:
                await self._recover(from_rpc_error(status, is_run=False), final=status.code() in FINAL_STATUSES)
                continue
            except _BrokenStreamError as broken:
                await self._recover(transport_error("UNAVAILABLE", str(broken), run_state=None), final=False)
                continue
            self._standing.set()
            self._attempt = 0
            if event.event != "watching" or self._show_watching:
                return event
            # Nothing that was read is on its way to the caller at this moment: each step ends with one event.
            self._token = event.resume_token

    async def _read(self) -> sessions_pb2.WatchSessionsResponse:
        """Return the next message of the present stream, or of a new one."""
        if self._call is None:
            request = sessions_pb2.WatchSessionsRequest(resume_token=self._token, app=self._app)
            self._call = self._transport.watch_sessions(request)
        read: asyncio.Future[Any] = asyncio.ensure_future(self._call.read())
        timer: asyncio.Future[Any] = asyncio.ensure_future(self._pacing.clock.sleep(self._pacing.watch_timeout))
        try:
            await asyncio.wait({read, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not read.done():
                raise _BrokenStreamError("no word from the gateway in time")
            if not isinstance(message := await read, sessions_pb2.WatchSessionsResponse):
                raise _BrokenStreamError("the gateway closed the stream")
            return message
        finally:
            read.cancel()
            timer.cancel()
            await asyncio.gather(read, timer, return_exceptions=True)

    async def _recover(self, failure: SessionGatewayError, *, final: bool) -> None:
        """Wait until the stream may be opened again. Raises the failure when that is of no use."""
        self._drop()
        told_to_wait = isinstance(failure, GatewayDrainingError | StoreUnavailableError)
        hopeful = self._standing.is_set() or (told_to_wait and self._attempt + 1 < self._pacing.drain_attempts)
        if final or not hopeful:
            self._attempt = 0
            raise failure from None
        _log.debug("watch: %s", failure)
        if self._standing.is_set() and self._on_interruption is not None:
            self._on_interruption(failure)
        pause = self._pacing.reconnect.delay(self._attempt, self._pacing.random())
        self._attempt += 1
        await self._pacing.clock.sleep(max(pause, failure.retry_after or 0.0))

    def _drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
