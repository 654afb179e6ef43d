"""A session as a thing to hold: it opens with its first call and ends when its block is left."""

import copy
import logging
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self, overload

from sessiongateway._convert import run_request
from sessiongateway._exceptions import SessionGatewayError, SessionNotFoundError
from sessiongateway._keepalive import Renewer
from sessiongateway._opening import Opening
from sessiongateway._pacing import Deadline
from sessiongateway._resources import AsyncSessions
from sessiongateway._runner import Runner
from sessiongateway._stream import AsyncRunStream
from sessiongateway._types import KeepaliveEvent, RunResult, SessionInfo
from sessiongateway.v1 import sessions_pb2

_log = logging.getLogger("sessiongateway")

_Take = Callable[[RunResult], Awaitable[None]]


class AsyncSession:
    """One session, made by `client.session(app)`.

    The first call opens it; calls that arrive meanwhile wait for that. If the first call fails there is no session,
    and the next call is the first again. A stream is a call too, and opens the session with its result. From then on
    every call goes to the session's own app and version, also when a newer one has been deployed. A session that has
    finished is never replaced: its calls raise.
    """

    def __init__(
        self,
        app: str,
        *,
        runner: Runner,
        sessions: AsyncSessions,
        session_timeout: int | None,
        renewer: Renewer | None,
        timeout: float | None,
        on_lost: Callable[[SessionGatewayError], object] | None,
    ) -> None:
        """Made by the client; with a renewer the session is kept alive."""
        self._runner = runner
        self._sessions = sessions
        self._app = app
        self._session_timeout = session_timeout
        self._renewer = renewer
        self._timeout = timeout
        self._on_lost = on_lost
        self._opening = Opening()
        self._streams: weakref.WeakSet[AsyncRunStream] = weakref.WeakSet()
        self._id: str | None = None
        self._info: SessionInfo | None = None
        self._lost: SessionGatewayError | None = None
        self._closed = False
        self._ended = False

    @property
    def id(self) -> str | None:
        """The session's id; None before the first call has succeeded."""
        return self._id

    @property
    def info(self) -> SessionInfo | None:
        """The session as it was in the newest answer; None before the first."""
        return self._info

    @overload
    async def call(
        self,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> RunResult: ...

    @overload
    async def call(
        self,
        function: str,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> RunResult: ...

    async def call(
        self,
        function_or_input: Any = None,
        input: Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> RunResult:
        """Call the app's default function with an input, or a named function with an input.

        Args:
            function_or_input: The function's name, or the input (a dict or a pydantic model) of the default one.
            input: The input, if a function is named.
            timeout: Seconds for this call, overriding the handle's.
            request_id: Idempotency key.
            expected_call_count: How many calls the session must have had when this one's turn comes. Not for the call
                that opens it.

        Raises:
            TypeError: Two inputs, or an input that is not an object. Nothing was sent.
            ValueError: The input cannot be JSON. Nothing was sent.
            RuntimeError: The handle is closed; or the session is being opened by a stream that whoever calls has not
                read to its end.
            SessionGatewayError: The call failed; or, with keepalive, the session is known to be lost.
        """
        request = self._request(function_or_input, input, request_id, expected_call_count)
        deadline = self._deadline(timeout)
        async with self._turn_of(request, deadline) as take:
            result = await self._runner.run(request, deadline)
            await take(result)
        return result

    @overload
    def stream(
        self,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> AsyncRunStream: ...

    @overload
    def stream(
        self,
        function: str,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> AsyncRunStream: ...

    def stream(
        self,
        function_or_input: Any = None,
        input: Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> AsyncRunStream:
        """Call a function as `call` does, and return an iterator over its partial outputs with the result at its end.

        Nothing is sent before the first step of the iteration, which raises what `call` raises. Calls of a session run
        one after another, so another call waits until the function has ended, and that may wait for the reader: read
        the stream to its end, or close it, first. Leaving the handle's block closes a stream that has not opened the
        session yet.

        Raises:
            TypeError: Two inputs, or an input that is not an object.
            ValueError: The input cannot be JSON.
        """
        request = self._request(function_or_input, input, request_id, expected_call_count)
        stream = AsyncRunStream(self._parts(request, timeout))
        self._streams.add(stream)
        return stream

    async def end(self) -> SessionInfo | None:
        """End the session, if it was opened, and close the handle. May be called twice.

        Raises:
            SessionGatewayError: The session could not be ended; it will expire by itself.
        """
        self._closed = True
        if self._id is None:
            # A session whose id is not known yet ends only with the call that opens it.
            for stream in list(self._streams):
                await stream.aclose()
        if self._id is None or self._ended:
            return self._info
        if self._renewer is not None:
            self._renewer.discard(self._id)
        timeout = self._runner.pacing.end_timeout if self._timeout is None else self._timeout
        try:
            self._info = await self._sessions.end(self._id, timeout=timeout)
        except SessionNotFoundError:
            # Its record has been purged, so it was over long ago.
            _log.debug("the session %s was already gone", self._id)
        self._ended = True
        return self._info

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.end()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"Besides, the session {self._id} could not be ended: {failure}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(app={self._app!r}, id={self._id!r})"

    def _deadline(self, timeout: float | None) -> Deadline:
        return self._runner.deadline(self._timeout if timeout is None else timeout)

    def _request(
        self, function_or_input: Any, input: Any, request_id: str | None, expected_call_count: int | None
    ) -> sessions_pb2.RunRequest:
        """Return the request that opens the session."""
        fields = {"request_id": request_id, "expected_call_count": expected_call_count}
        if isinstance(function_or_input, str):
            fields |= {"function": function_or_input, "input": input}
        elif input is not None:
            raise TypeError("the function's name must be a str, and come before the input")
        else:
            fields["input"] = function_or_input
        opening = {"app": self._app, "session": "new", "session_timeout": self._session_timeout}
        return run_request({**fields, **opening})

    async def _parts(self, request: sessions_pb2.RunRequest, timeout: float | None) -> AsyncGenerator[Any, None]:
        deadline = self._deadline(timeout)
        async with (
            self._turn_of(request, deadline) as take,
            aclosing(self._runner.stream(request, lambda: deadline)) as parts,
        ):
            async for part in parts:
                if isinstance(part, RunResult):
                    await take(part)
                yield part

    @asynccontextmanager
    async def _turn_of(self, request: sessions_pb2.RunRequest, deadline: Deadline) -> AsyncIterator[_Take]:
        """Let the request open the session, while others wait, or else make it one in the session that is open."""
        if self._id is None:
            if any(stream.waits_for_caller() for stream in list(self._streams)):
                # Waiting for the session that it opens would be waiting for ever.
                raise RuntimeError("the session is being opened by a stream: read it to its end, or close it, first")
            async with self._opening.turn(deadline):
                if self._id is None:
                    self._refuse_finished()
                    yield self._opened
                    return
        self._refuse_finished()
        request.ClearField("session_timeout")
        request.app = self._app if self._info is None else f"{self._info.app}@{self._info.version}"
        request.session = self._id
        yield self._called

    async def _called(self, result: RunResult) -> None:
        self._info = result.session or self._info

    async def _opened(self, result: RunResult) -> None:
        self._id, self._info = result.session_id, result.session
        if self._closed:
            # The block was left while this call ran, and could not end what it did not know. The call has its answer,
            # whatever becomes of the session.
            try:
                await self.end()
            except SessionGatewayError as failure:
                _log.warning("the session %s could not be ended and will expire: %s", self._id, failure)
        elif self._renewer is not None:
            timeout = None if self._info is None else self._info.session_timeout
            self._renewer.add(self._id, self._hear, timeout)

    def _refuse_finished(self) -> None:
        if self._closed:
            raise RuntimeError("the session handle is closed")
        if self._lost is not None:
            error = copy.copy(self._lost)
            error.run_state = "not_started"
            raise error

    def _hear(self, event: KeepaliveEvent) -> None:
        if event.error is None:
            self._info = event.session
            return
        self._lost = event.error
        if self._on_lost is not None:
            try:
                self._on_lost(event.error)
            except Exception:  # noqa: BLE001 - the other sessions' renewals must go on
                _log.exception("on_lost of session %s failed", self._id)
