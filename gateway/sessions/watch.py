"""A stream of what happens to one caller's sessions, which can be taken up again where it broke off.

The events are in the store, and a watch holds no more than a page of them: one whose reader is slow lags behind there.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.model import EndReason, Session, SessionStatus
from gateway.sessions.pages import Tokens, invalid_token, query
from gateway.stores.base import EventsForgotten, InvalidCursor, SessionFilter, SessionStore, StoredEvent
from gateway.timing import WATCH_POLL, WATCH_QUIET

PAGE = 100
"""Events that a watch reads, and holds, at a time."""


class WatchEventKind(enum.Enum):
    """What happened."""

    WATCHING = enum.auto()
    CREATED = enum.auto()
    ENDED = enum.auto()
    EXPIRED = enum.auto()
    WORKER_LOST = enum.auto()


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One message of a watch. `occurred_at` is by the wall clock; the session is absent for WATCHING."""

    kind: WatchEventKind
    session: Session | None
    occurred_at: float
    resume_token: str


class News:
    """Wakes the watches of an owner when something happens to one of its sessions in this gateway."""

    def __init__(self) -> None:
        self.elsewhere: Callable[[str], object] = lambda owner: None
        """Told of each owner too, for watches in other processes."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when there are more or fewer watches."""
        self._waiting: dict[str | None, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        """How many owners watch."""
        return len(self._waiting)

    def tell(self, owner: str) -> None:
        """Wake the watches of this owner, wherever they are."""
        self.wake(owner)
        self.elsewhere(owner)

    def wake(self, owner: str) -> None:
        """Wake the watches of this owner in this process."""
        for event in (*self._waiting.get(owner, ()), *self._waiting.get(None, ())):
            event.set()

    def add(self, owner: str | None, event: asyncio.Event) -> None:
        """Set the event from now on, with None for whatever owner."""
        self._waiting.setdefault(owner, set()).add(event)
        self.on_change()

    def discard(self, owner: str | None, event: asyncio.Event) -> None:
        """Set the event no longer. One that is not there is fine."""
        waiting = self._waiting.get(owner, set())
        waiting.discard(event)
        if not waiting:
            self._waiting.pop(owner, None)
        self.on_change()


class SessionWatch:
    """One caller's watch: iterate over what happens. Whoever makes one closes it.

    News is only a hint to look into the store. Besides, the store is looked at every WATCH_POLL seconds: what another
    gateway on it does is not told here.
    """

    def __init__(
        self,
        store: SessionStore,
        news: News,
        clock: Clock,
        filter: SessionFilter,
        *,
        tokens: Tokens,
        principal: str,
    ) -> None:
        """A filter without an owner watches all sessions. Nothing is read before `start`. `principal` watches."""
        self._store = store
        self._news = news
        self._clock = clock
        self._filter = filter
        self._tokens = tokens
        self._query = query_of("WatchSessions", principal, filter)
        self._unread: deque[WatchEvent] = deque()
        self._cursor = ""
        self._quiet_until = 0.0
        self._changed = asyncio.Event()
        self._refusal: GatewayError | None = None
        self._news.add(filter.owner, self._changed)

    async def start(self, token: str) -> Self:
        """Begin behind the token, or with "" behind everything so far.

        Raises InvalidRequest when the token is none of this gateway's, belongs to another query, or is too old.
        """
        self._cursor = self._tokens.cursor(token, self._query, "resume_token") or await self._store.position()
        first = self._watching()
        await self._read()
        self._unread.appendleft(first)
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._unread:
            self._changed.clear()
            await self._read()
            if self._unread:
                break
            if self._refusal is not None:
                raise self._refusal
            if self._clock.now().monotonic >= self._quiet_until:
                self._unread.append(self._watching())
                break
            await self._something()
        self._quiet_until = self._clock.now().monotonic + WATCH_QUIET
        return self._unread.popleft()

    def refuse(self, error: GatewayError) -> None:
        """End the watch with this error, once all that has happened so far is read."""
        self._refusal = error
        self._changed.set()

    def close(self) -> None:
        """Watch no longer. Closing twice is fine."""
        self._news.discard(self._filter.owner, self._changed)

    async def _read(self) -> None:
        try:
            page = await self._store.events(self._filter, self._cursor, PAGE)
        except EventsForgotten:
            why = "is too old: what has happened since is not kept any more; watch anew, then list the sessions"
            raise invalid_token(why, "resume_token") from None
        except InvalidCursor:
            raise invalid_token(_UNKNOWN, "resume_token") from None
        self._unread.extend(self._event(stored) for stored in page.events)
        self._cursor = page.cursor

    async def _something(self) -> None:
        """Wait for news, or until it is time to look by oneself."""
        wait = min(WATCH_POLL, self._quiet_until - self._clock.now().monotonic)
        timer = self._clock.call_later(wait, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    def _watching(self) -> WatchEvent:
        return WatchEvent(WatchEventKind.WATCHING, None, self._clock.now().wall, self._token(self._cursor))

    def _event(self, stored: StoredEvent) -> WatchEvent:
        session = stored.session
        happened = session.created_at if session.ended_at is None else session.ended_at
        return WatchEvent(kind_of(session), session, happened, self._token(stored.cursor))

    def _token(self, cursor: str) -> str:
        return self._tokens.token(self._query, cursor)


_UNKNOWN = "is not a token that this gateway gave, or its records were replaced; watch anew, then list the sessions"


def query_of(method: str, principal: str, filter: SessionFilter) -> bytes:
    """Return what the tokens of a walk through sessions, or of a watch of them, are good for."""
    status = filter.status and filter.status.value
    return query(method, principal, filter.owner, status, filter.app, filter.version)


def kind_of(session: Session) -> WatchEventKind:
    """Return what it was that left a session as it is in an event."""
    if session.status is SessionStatus.ACTIVE:
        return WatchEventKind.CREATED
    if session.status is SessionStatus.EXPIRED:
        return WatchEventKind.EXPIRED
    return WatchEventKind.WORKER_LOST if session.end_reason is EndReason.WORKER_LOST else WatchEventKind.ENDED
