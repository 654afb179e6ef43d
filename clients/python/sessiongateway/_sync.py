"""The synchronous client: every method runs its asynchronous namesake and waits for it."""

import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

import grpc

from sessiongateway._client import AsyncInference
from sessiongateway._exceptions import SessionGatewayError
from sessiongateway._keepalive import AsyncKeepaliveStream
from sessiongateway._pacing import Pacing
from sessiongateway._portal import Portal
from sessiongateway._resources import AsyncApps, AsyncSessions
from sessiongateway._session import AsyncSession
from sessiongateway._stream import AsyncRunStream
from sessiongateway._tls import TLS
from sessiongateway._types import AppInfo, KeepaliveEvent, RunResult, SessionInfo, WatchEvent
from sessiongateway._watch import AsyncWatchStream

ItemT = TypeVar("ItemT")


class Inference:
    """A client of Session Gateway.

    Used as `with Inference() as client`, or closed with `client.close()`. Threads may share it. Interrupting a
    request, such as with Ctrl-C, cancels it on the gateway too.
    """

    def __init__(
        self,
        api_key: str | None = None,
        address: str | None = None,
        timeout: float | None = None,
        *,
        tls: TLS | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """See `AsyncInference`."""
        self._client = AsyncInference(api_key, address, timeout, tls=tls, credentials=credentials, pacing=pacing)
        self._portal = Portal.acquire()
        # Closes a client that nobody closed, when it is collected or the interpreter exits.
        self._forgotten = weakref.finalize(self, self._portal.say_farewell, self._client.close)
        self.sessions = Sessions(self._client.sessions, self._portal)
        """Reads, watches, renews and ends sessions."""
        self.apps = Apps(self._client.apps, self._portal)
        """Tells what is deployed."""

    def run(
        self, params: Mapping[str, Any] | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> RunResult:
        """See `AsyncInference.run`."""
        return self._portal.wait(self._client.run(params, timeout=timeout, **fields))

    def run_stream(
        self, params: Mapping[str, Any] | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> "RunStream":
        """See `AsyncInference.run_stream`."""
        return RunStream(self._client.run_stream(params, timeout=timeout, **fields), self._portal)

    def session(
        self,
        app: str,
        *,
        session_timeout: int | None = None,
        keepalive: bool = False,
        timeout: float | None = None,
        on_lost: Callable[[SessionGatewayError], object] | None = None,
    ) -> "Session":
        """See `AsyncInference.session`. `on_lost` is called on the client's own thread."""
        session = self._client.session(
            app, session_timeout=session_timeout, keepalive=keepalive, timeout=timeout, on_lost=on_lost
        )
        return Session(session, self._portal)

    def stream_keepalive(self, session_ids: Iterable[str]) -> "KeepaliveStream":
        """See `AsyncInference.stream_keepalive`."""

        async def start() -> AsyncKeepaliveStream:
            return self._client.stream_keepalive(session_ids)

        return KeepaliveStream(self._portal.wait(start()), self._portal)

    def close(self) -> None:
        """Stop every renewal, cancel what is in flight and close the connection. May be called twice."""
        if self._forgotten.detach() is None:
            return
        try:
            self._portal.wait(self._client.close())
        finally:
            self._portal.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._client).removeprefix("Async")


class Walk(Iterator[ItemT], Generic[ItemT]):
    """Walks once over what an asynchronous iterator yields."""

    def __init__(self, items: AsyncIterator[ItemT], portal: Portal) -> None:
        """Nothing is fetched yet."""
        self._items = items
        self._portal = portal

    def __next__(self) -> ItemT:
        # Not the StopAsyncIteration itself: a coroutine that runs as a task may not end with one.
        async def step() -> list[ItemT]:
            try:
                return [await anext(self._items)]
            except StopAsyncIteration:
                return []

        for item in self._portal.wait(step()):
            return item
        raise StopIteration


class KeepaliveStream(Walk[KeepaliveEvent]):
    """See `AsyncKeepaliveStream`. May be closed from another thread than the one that iterates."""

    def __init__(self, stream: AsyncKeepaliveStream, portal: Portal) -> None:
        """Made by `client.stream_keepalive`."""
        super().__init__(stream, portal)
        self._stream = stream

    def close(self) -> None:
        """Stop renewing. May be called twice."""
        self._portal.wait(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WatchStream(Walk[WatchEvent]):
    """See `AsyncWatchStream`. May be closed from another thread than the one that iterates."""

    def __init__(self, stream: AsyncWatchStream, portal: Portal) -> None:
        """Made by `client.sessions.watch`."""
        super().__init__(stream, portal)
        self._stream = stream

    @property
    def resume_token(self) -> str:
        """See `AsyncWatchStream.resume_token`."""
        return self._stream.resume_token

    def close(self) -> None:
        """Watch no longer. May be called twice."""
        self._portal.wait(self._stream.aclose())

    def __enter__(self) -> Self:
        self._portal.wait(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RunStream(Walk[Any]):
    """See `AsyncRunStream`. May be closed from another thread than the one that iterates."""

    def __init__(self, stream: AsyncRunStream, portal: Portal) -> None:
        """Made by `client.run_stream` and `session.stream`."""
        super().__init__(stream, portal)
        self._stream = stream

    @property
    def result(self) -> RunResult:
        """See `AsyncRunStream.result`."""
        return self._stream.result

    def finish(self) -> RunResult:
        """See `AsyncRunStream.finish`."""
        return self._portal.wait(self._stream.finish())

    def close(self) -> None:
        """See `AsyncRunStream.aclose`."""
        self._portal.wait(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Session:
    """See `AsyncSession`. Threads may share it."""

    def __init__(self, session: AsyncSession, portal: Portal) -> None:
        """Made by `client.session`."""
        self._session = session
        self._portal = portal

    @property
    def id(self) -> str | None:
        """The session's id; None before the first call has succeeded."""
        return self._session.id

    @property
    def info(self) -> SessionInfo | None:
        """The session as it was in the newest answer; None before the first."""
        return self._session.info

    @overload
    def call(
        self,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> RunResult: ...

    @overload
    def call(
        self,
        function: str,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> RunResult: ...

    def call(self, *arguments: Any, **options: Any) -> RunResult:
        """See `AsyncSession.call`."""
        return self._portal.wait(self._session.call(*arguments, **options))

    @overload
    def stream(
        self,
        input: Mapping[str, Any] | Any = None,
        /,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        expected_call_count: int | None = None,
    ) -> RunStream: ...

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
    ) -> RunStream: ...

    def stream(self, *arguments: Any, **options: Any) -> RunStream:
        """See `AsyncSession.stream`."""

        async def start() -> AsyncRunStream:
            return self._session.stream(*arguments, **options)

        return RunStream(self._portal.wait(start()), self._portal)

    def end(self) -> SessionInfo | None:
        """See `AsyncSession.end`."""
        return self._portal.wait(self._session.end())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.wait(self._session.__aexit__(kind, error, trace))

    def __repr__(self) -> str:
        return repr(self._session).removeprefix("Async")


class Sessions:
    """See `AsyncSessions`."""

    def __init__(self, sessions: AsyncSessions, portal: Portal) -> None:
        """Made by the client."""
        self._sessions = sessions
        self._portal = portal

    def get(self, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """See `AsyncSessions.get`."""
        return self._portal.wait(self._sessions.get(session_id, timeout=timeout))

    def keepalive(self, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """See `AsyncSessions.keepalive`."""
        return self._portal.wait(self._sessions.keepalive(session_id, timeout=timeout))

    def end(self, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """See `AsyncSessions.end`."""
        return self._portal.wait(self._sessions.end(session_id, timeout=timeout))

    def list(
        self,
        status: str | None = None,
        app: str | None = None,
        page_size: int | None = None,
        *,
        timeout: float | None = None,
    ) -> Walk[SessionInfo]:
        """See `AsyncSessions.list`."""
        return Walk(self._sessions.list(status, app, page_size, timeout=timeout), self._portal)

    def watch(
        self,
        resume_token: str | None = None,
        app: str | None = None,
        *,
        show_watching: bool = False,
        on_interruption: Callable[[SessionGatewayError], object] | None = None,
    ) -> WatchStream:
        """See `AsyncSessions.watch`. Use it with `with`. `on_interruption` is called on a thread of the client's."""

        async def start() -> AsyncWatchStream:
            return self._sessions.watch(resume_token, app, show_watching=show_watching, on_interruption=on_interruption)

        return WatchStream(self._portal.wait(start()), self._portal)


class Apps:
    """See `AsyncApps`."""

    def __init__(self, apps: AsyncApps, portal: Portal) -> None:
        """Made by the client."""
        self._apps = apps
        self._portal = portal

    def get(self, app: str, *, timeout: float | None = None) -> AppInfo:
        """See `AsyncApps.get`."""
        return self._portal.wait(self._apps.get(app, timeout=timeout))

    def list(self, page_size: int | None = None, *, timeout: float | None = None) -> Walk[AppInfo]:
        """See `AsyncApps.list`."""
        return Walk(self._apps.list(page_size, timeout=timeout), self._portal)
