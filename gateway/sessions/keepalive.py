"""Keepalive for many sessions on one stream, with news of those that end."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import GatewayError, InvalidRequest, StoreUnavailable, Violation
from gateway.model import Session
from gateway.sessions.finished import finished_error
from gateway.sessions.lifecycle import Lifecycle

MAX_SESSIONS = 10_000
"""Sessions on one stream. Bounds what a stream can hold in memory, news of all of them at once included."""

MAX_UNREAD = 1000
"""Answers that wait to be read before the next request is taken in."""


@dataclass(frozen=True, slots=True)
class KeepaliveOutcome:
    """How it stands with one session on the stream."""

    session_id: str
    outcome: Session | GatewayError


class KeepaliveStream:
    """One caller's stream: requests go in by `renew`, answers and news come out by iteration.

    Whoever makes one closes it.
    """

    def __init__(self, lifecycle: Lifecycle, principal: str) -> None:
        self._lifecycle = lifecycle
        self._principal = principal
        self._watched: dict[str, Callable[[], None]] = {}
        self._unread: deque[KeepaliveOutcome] = deque()
        self._changed = asyncio.Condition()
        self._no_more_requests = False
        self._refusal: GatewayError | None = None
        self._news: asyncio.Future[None] | None = None  # held, as the loop itself holds tasks only weakly

    async def renew(self, session_id: str) -> None:
        """Renew one session and queue the answer. Waits while too many answers are unread.

        One more than a stream may have is answered with InvalidRequest, and the others stay on it.
        """
        if session_id not in self._watched and len(self._watched) >= MAX_SESSIONS:
            problem = Violation("session_ids", f"more than {MAX_SESSIONS} sessions on one stream")
            await self.answer(session_id, InvalidRequest.of([problem]))
        else:
            await self.answer(session_id, await self._renewed(session_id))

    async def answer(self, session_id: str, outcome: Session | GatewayError) -> None:
        """Queue an answer. Waits while too many are unread."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._unread) < MAX_UNREAD)
            self._unread.append(KeepaliveOutcome(session_id, outcome))
            self._changed.notify_all()

    async def no_more_requests(self) -> None:
        """The caller has closed its side: the iteration ends once all answers are read."""
        async with self._changed:
            self._no_more_requests = True
            self._changed.notify_all()

    def __aiter__(self) -> "KeepaliveStream":
        return self

    async def __anext__(self) -> KeepaliveOutcome:
        async with self._changed:
            await self._changed.wait_for(lambda: self._unread or self._no_more_requests or self._refusal)
            if not self._unread:
                raise self._refusal or StopAsyncIteration
            outcome = self._unread.popleft()
            self._changed.notify_all()
            return outcome

    def refuse(self, error: GatewayError) -> None:
        """End the stream with this error, once all that is unread is read."""
        self._refusal = error
        self._news = asyncio.ensure_future(self._notify())

    def close(self) -> None:
        """Take all sessions off the stream. They live on until their timeout."""
        for forget in self._watched.values():
            forget()
        self._watched.clear()

    async def _renewed(self, session_id: str) -> Session | GatewayError:
        try:
            session = await self._lifecycle.keepalive(session_id, self._principal)
        except StoreUnavailable as error:
            return error  # the session is as alive as it was, and news of it are still wanted
        except GatewayError as error:
            self._forget(session_id)
            return error
        if session_id not in self._watched:
            self._watched[session_id] = self._lifecycle.watch(session_id, self._over)
        return session

    def _over(self, session: Session) -> None:
        self._watched.pop(session.id, None)
        self._unread.append(KeepaliveOutcome(session.id, finished_error(session)))
        self._news = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _forget(self, session_id: str) -> None:
        forget = self._watched.pop(session_id, None)
        if forget is not None:
            forget()
