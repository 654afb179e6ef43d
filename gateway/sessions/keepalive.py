"""Keepalive for many sessions on one stream, with news of those that end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.clock import Instant
from gateway.errors import GatewayError, InvalidRequest, StoreUnavailable, Violation
from gateway.model import Session
from gateway.sessions.finished import finished_error
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.renewals import Renewal, Renewals

MAX_SESSIONS = 10_000
"""Sessions on one stream. Bounds what a stream can hold in memory, news of all of them at once included."""

MAX_UNREAD = 1000
"""Ids asked for, and answers, that wait to be worked on and read before the next request is taken in."""


@dataclass(frozen=True, slots=True)
class KeepaliveOutcome:
    """How it stands with one session on the stream."""

    session_id: str
    outcome: Session | GatewayError
    renewed: Instant | None = None
    """When it was renewed, if the session is as it was before that."""


@dataclass(slots=True)
class KeepaliveAnswers:
    """What there is to be read: renewals first, then outcomes, in their order."""

    renewed: dict[tuple[float, float], list[str]] = field(default_factory=dict)
    """Sessions that were renewed, by the monotonic deadline and the wall-clock time at which they expire. Only those
    that were asked for together."""
    outcomes: list[KeepaliveOutcome] = field(default_factory=list)
    count: int = 0
    """Answers in all."""


class KeepaliveStream:
    """One caller's stream: requests go in by `renew`, answers and news come out by iteration, all at once.

    Whoever makes one closes it.
    """

    def __init__(self, lifecycle: Lifecycle, renewals: Renewals, principal: str) -> None:
        self.principal = principal
        self._lifecycle = lifecycle
        self._renewals = renewals
        self._watched: dict[str, Callable[[], None]] = {}
        self._asked = 0
        """Ids that are yet to be answered."""
        self._unread = KeepaliveAnswers()
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._no_more_requests = False
        self._closed = False
        self._refusal: GatewayError | None = None

    async def renew(
        self, session_ids: Sequence[str], wrong: Mapping[str, GatewayError] | None = None, *, together: bool = False
    ) -> None:
        """Have sessions renewed; each id gets an answer. Waits while too many are unread.

        Those of them that are `wrong` are answered with that error. One session more than a stream may have is answered
        with InvalidRequest, and the others stay on it. With `together` those that were renewed are answered as one.
        """
        while self._asked + self._unread.count >= MAX_UNREAD:
            await self._some_room()
        refused = wrong or {}
        if len(self._watched) + self._asked + len(session_ids) > MAX_SESSIONS:
            while self._asked:
                await self._some_room()
            refused = {**self._too_many(session_ids), **refused}
        self._asked += len(session_ids)
        asked = [session_id for session_id in session_ids if session_id not in refused] if refused else session_ids
        self._renewals.ask(_Request(self, session_ids, refused, together), asked)

    def answer(self, session_ids: Sequence[str], renewal: Renewal, *, together: bool) -> None:
        """Take the answer to one request."""
        self._asked -= len(session_ids)
        if self._closed:
            return
        unread, watched = self._unread, self._watched
        groups: dict[int, list[str]] = {}
        for session_id in session_ids:
            live = renewal.slid.get(session_id)
            if live is None:
                self._answer_other(session_id, renewal.others[session_id], together)
                continue
            if session_id not in watched:
                watched[session_id] = self._lifecycle.watch(session_id, self._over)
            if not together:
                unread.outcomes.append(KeepaliveOutcome(session_id, live.record, renewal.at))
                continue
            timeout = live.record.timeout
            group = groups.get(timeout)
            if group is None:
                ends = renewal.at.monotonic + timeout, renewal.at.wall + timeout
                group = groups[timeout] = unread.renewed.setdefault(ends, [])
            group.append(session_id)
        unread.count += len(session_ids)
        self._something.set()
        self._room.set()

    def no_more_requests(self) -> None:
        """The caller has closed its side: the iteration ends once all answers are read."""
        self._no_more_requests = True
        self._something.set()

    def __aiter__(self) -> "KeepaliveStream":
        return self

    async def __anext__(self) -> KeepaliveAnswers:
        while not self._unread.count:
            if self._refusal is not None:
                raise self._refusal
            if self._no_more_requests and not self._asked:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        answers, self._unread = self._unread, KeepaliveAnswers()
        self._room.set()
        return answers

    def refuse(self, error: GatewayError) -> None:
        """End the stream with this error, once all that is unread is read."""
        self._refusal = error
        self._something.set()

    def close(self) -> None:
        """Take all sessions off the stream. They live on until their timeout."""
        self._closed = True
        for forget in self._watched.values():
            forget()
        self._watched.clear()

    async def _some_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    def _too_many(self, session_ids: Sequence[str]) -> dict[str, GatewayError]:
        """Return the ids that would be one session too many on the stream, each with the error that says so."""
        new = [session_id for session_id in dict.fromkeys(session_ids) if session_id not in self._watched]
        problem = Violation("session_ids", f"more than {MAX_SESSIONS} sessions on one stream")
        left = max(0, MAX_SESSIONS - len(self._watched))
        return {session_id: InvalidRequest.of([problem]) for session_id in new[left:]}

    def _answer_other(self, session_id: str, outcome: Session | GatewayError, together: bool) -> None:
        if isinstance(outcome, Session):
            if session_id not in self._watched:
                self._watched[session_id] = self._lifecycle.watch(session_id, self._over)
            if together:
                self._unread.renewed.setdefault((outcome.deadline, outcome.expires_at), []).append(session_id)
                return
        elif not isinstance(outcome, StoreUnavailable):  # then the session is as alive as it was, and news still wanted
            self._forget(session_id)
        self._unread.outcomes.append(KeepaliveOutcome(session_id, outcome))

    def _over(self, session: Session) -> None:
        self._watched.pop(session.id, None)
        self._unread.outcomes.append(KeepaliveOutcome(session.id, finished_error(session)))
        self._unread.count += 1
        self._something.set()

    def _forget(self, session_id: str) -> None:
        forget = self._watched.pop(session_id, None)
        if forget is not None:
            forget()


@dataclass(frozen=True, slots=True)
class _Request:
    """One request of a stream."""

    stream: KeepaliveStream
    session_ids: Sequence[str]
    refused: Mapping[str, GatewayError]
    """Those of its ids that are not even asked for."""
    together: bool

    @property
    def principal(self) -> str:
        return self.stream.principal

    def answer(self, _: Sequence[str], renewal: Renewal) -> None:
        if self.refused:
            renewal = Renewal(renewal.at, renewal.slid, {**renewal.others, **self.refused})
        self.stream.answer(self.session_ids, renewal, together=self.together)

    def refuse(self, error: GatewayError) -> None:
        self.stream.refuse(error)
