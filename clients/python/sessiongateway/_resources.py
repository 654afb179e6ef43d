"""`client.sessions` and `client.apps`."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from sessiongateway._convert import app_info, session_info, session_status
from sessiongateway._exceptions import SessionGatewayError
from sessiongateway._pacing import Deadline, Pacing
from sessiongateway._transport import Transport
from sessiongateway._types import AppInfo, SessionInfo
from sessiongateway._watch import AsyncWatchStream
from sessiongateway.v1 import apps_pb2, sessions_pb2

ItemT = TypeVar("ItemT")
MakeDeadline = Callable[[float | None], Deadline]


class AsyncPages(AsyncIterator[ItemT], Generic[ItemT]):
    """Walks once over all items of all pages; each page is fetched when its first item is asked for."""

    def __init__(self, fetch: Callable[[str], Awaitable[tuple[Iterable[ItemT], str]]]) -> None:
        """Take the function from a page's token, at first "", to its items and the next token, "" at the end."""
        self._fetch = fetch
        self._items: deque[ItemT] = deque()
        self._token: str | None = ""

    async def __anext__(self) -> ItemT:
        # A page may be empty and still not be the last: a filter is applied after the page was cut.
        while not self._items and self._token is not None:
            items, token = await self._fetch(self._token)
            self._items.extend(items)
            self._token = token or None
        if not self._items:
            raise StopAsyncIteration
        return self._items.popleft()


class AsyncSessions:
    """Reads, watches, renews and ends sessions. Every method raises SessionGatewayError if the request fails."""

    def __init__(self, transport: Transport, deadline: MakeDeadline, pacing: Pacing, open_streams: set[Any]) -> None:
        """Made by the client, which closes what is in `open_streams` when it is closed."""
        self._transport = transport
        self._deadline = deadline
        self._pacing = pacing
        self._open_streams = open_streams

    async def get(self, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """Return a session as it is now, also a finished one. Does not extend its life.

        Raises:
            SessionNotFoundError: There is none with this id.
        """
        request = sessions_pb2.GetSessionRequest(session_id=session_id)
        response = await self._transport.send(lambda to: to.sessions.GetSession, request, self._deadline(timeout))
        return session_info(response.session)

    async def keepalive(self, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """Let a session's timeout begin anew, and return the session.

        Raises:
            SessionNotFoundError: There is none with this id.
            SessionExpiredError: It was too late.
            SessionEndedError: It was ended.
        """
        request = sessions_pb2.KeepaliveRequest(session_id=session_id)
        response = await self._transport.send(lambda to: to.sessions.Keepalive, request, self._deadline(timeout))
        return session_info(response.session)

    async def end(self, session_id: str, *, timeout: float | None = None) -> SessionInfo:
        """End a session, release its worker at once, and return the session. One that is finished stays as it is.

        Raises:
            SessionNotFoundError: There is none with this id.
        """
        request = sessions_pb2.EndSessionRequest(session_id=session_id)
        response = await self._transport.send(lambda to: to.sessions.EndSession, request, self._deadline(timeout))
        return session_info(response.session)

    def list(
        self,
        status: str | None = None,
        app: str | None = None,
        page_size: int | None = None,
        *,
        timeout: float | None = None,
    ) -> AsyncPages[SessionInfo]:
        """Return an iterator over the caller's sessions, the newest first, over all pages.

        Args:
            status: Only those that are "active", "ended" or "expired".
            app: Only those of this app, "name" or "name@version".
            page_size: How many to fetch at a time, 1 to 1000.
            timeout: Seconds for each page.

        Raises:
            ValueError: There is no such status.
        """
        wanted = sessions_pb2.SESSION_STATUS_UNSPECIFIED if status is None else session_status(status)

        async def fetch(token: str) -> tuple[Iterable[SessionInfo], str]:
            request = sessions_pb2.ListSessionsRequest(
                page_size=page_size or 0, page_token=token, status=wanted, app=app or ""
            )
            response = await self._transport.send(lambda to: to.sessions.ListSessions, request, self._deadline(timeout))
            return map(session_info, response.sessions), response.next_page_token

        return AsyncPages(fetch)

    def watch(
        self,
        resume_token: str | None = None,
        app: str | None = None,
        *,
        show_watching: bool = False,
        on_interruption: Callable[[SessionGatewayError], object] | None = None,
    ) -> AsyncWatchStream:
        """Return an iterator over what happens to the caller's sessions: each that begins, ends, expires or is lost.

        Use it with `async with`, which waits until the watch stands, so that a list read after that leaves no gap.

        Args:
            resume_token: That of the last event that was read, here or in another process: what has happened since
                comes first. None: from now on.
            app: Only sessions of this app, "name" or "name@version". A token is good for the same app only.
            show_watching: Yield the events "watching", too, which come at the beginning, after a reconnection, and
                after quiet times. They are always taken note of in the stream's `resume_token`.
            on_interruption: Called with the reason each time that the stream is lost, or not found again, and before
                it is tried anew. Not for errors that end a step of the iteration.
        """
        stream = AsyncWatchStream(
            self._transport,
            self._pacing,
            resume_token or "",
            app or "",
            show_watching=show_watching,
            on_interruption=on_interruption,
            on_close=self._open_streams.discard,
        )
        self._open_streams.add(stream)
        return stream


class AsyncApps:
    """Tells what is deployed. Every method raises SessionGatewayError if the request fails."""

    def __init__(self, transport: Transport, deadline: MakeDeadline) -> None:
        """Made by the client."""
        self._transport = transport
        self._deadline = deadline

    async def get(self, app: str, *, timeout: float | None = None) -> AppInfo:
        """Describe one version of an app, with its functions and their schemas.

        Raises:
            AppNotFoundError: No app of this name is deployed.
            VersionNotFoundError: It is not deployed in this version.
            AppStartFailedError: Its code cannot be imported.
        """
        request = apps_pb2.GetAppRequest(app=app)
        response = await self._transport.send(lambda to: to.apps.GetApp, request, self._deadline(timeout))
        return app_info(response.app)

    def list(self, page_size: int | None = None, *, timeout: float | None = None) -> AsyncPages[AppInfo]:
        """Return an iterator over the deployed apps by name, over all pages; without their functions.

        Args:
            page_size: How many to fetch at a time, 1 to 1000.
            timeout: Seconds for each page.
        """

        async def fetch(token: str) -> tuple[Iterable[AppInfo], str]:
            request = apps_pb2.ListAppsRequest(page_size=page_size or 0, page_token=token)
            response = await self._transport.send(lambda to: to.apps.ListApps, request, self._deadline(timeout))
            return map(app_info, response.apps), response.next_page_token

        return AsyncPages(fetch)
