"""Keepalives of all streams together: what is asked for in one turn of the event loop is one step of the store."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.clock import Clock, Instant
from gateway.errors import GatewayDraining, GatewayError, InternalError, StoreUnavailable
from gateway.model import Session
from gateway.sessions.finished import finished_error
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.live import LiveSession
from gateway.stores.base import SessionStore

logger = logging.getLogger("gateway.sessions")

AT_ONCE = 1000
"""Ids that are renewed in one step of the store, more or less: some milliseconds in which nothing else happens."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What became of sessions that were asked for: each is in one of the two."""

    at: Instant
    slid: Mapping[str, LiveSession]
    """Those that were renewed at that moment, on record by now. What they had on record before is not read again."""
    others: Mapping[str, Session | GatewayError]
    """Those that were renewed by themselves, or could not be."""


class Asking(Protocol):
    """One who asks for renewals, on behalf of one caller."""

    @property
    def principal(self) -> str:
        """Whose sessions they are."""

    def answer(self, session_ids: Sequence[str], renewal: Renewal) -> None:
        """Take the answer to one request, each in its turn."""

    def refuse(self, error: GatewayError) -> None:
        """There will be no answer."""


class Renewals:
    """Renews what is asked for. Nothing is answered before it is on record."""

    def __init__(self, store: SessionStore, lifecycle: Lifecycle, clock: Clock) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock
        self._asked: deque[tuple[Asking, Sequence[str]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def ask(self, asking: Asking, session_ids: Sequence[str]) -> None:
        """Have these sessions renewed, and `asking` answered."""
        self._asked.append((asking, session_ids))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._asked:
                for requests in self._next().values():
                    await self._renew(requests)
                await asyncio.sleep(0)  # others' turn, and more requests to be taken together
        finally:
            self._running = None

    def _next(self) -> Mapping[str, list[tuple[Asking, Sequence[str]]]]:
        """Take requests out of the queue, by principal."""
        requests: dict[str, list[tuple[Asking, Sequence[str]]]] = {}
        count = 0
        while self._asked and count < AT_ONCE:
            request = self._asked.popleft()
            requests.setdefault(request[0].principal, []).append(request)
            count += len(request[1])
        return requests

    async def _renew(self, requests: list[tuple[Asking, Sequence[str]]]) -> None:
        """Answer requests of one principal."""
        try:
            renewal = await self._renewed(requests)
        except Exception as error:  # noqa: BLE001  # told to the callers, and logged where they are
            for asking, _ in requests:
                refusal = InternalError()
                refusal.__cause__ = error
                asking.refuse(refusal)
            return
        for asking, session_ids in requests:
            asking.answer(session_ids, renewal)

    async def _renewed(self, requests: list[tuple[Asking, Sequence[str]]]) -> Renewal:
        principal, live = requests[0][0].principal, self._lifecycle.live
        asked = dict.fromkeys(session_id for _, session_ids in requests for session_id in session_ids)
        known = {}
        for session_id in asked:
            each = live.get(session_id)
            if each is not None and each.owner == principal:
                known[session_id] = each
        now = self._clock.now()
        slid = await self._slide(known, principal, now) if known else {}
        others: dict[str, Session | GatewayError] = {}
        if len(slid) < len(asked):
            for session_id in asked:
                if session_id not in slid:
                    others[session_id] = await self._renewed_alone(session_id, principal)
        for session_id in [session_id for session_id, each in slid.items() if each.over]:  # meanwhile
            others[session_id] = finished_error(slid.pop(session_id).record)
        return Renewal(now, slid, others)

    async def _slide(self, known: dict[str, LiveSession], principal: str, now: Instant) -> dict[str, LiveSession]:
        """Renew sessions whose workers are here; return those that were. The others are told why one by one."""
        try:
            renewed = await self._store.renew_many(known, principal, now)
        except GatewayError:
            return {}
        slid = known if len(renewed) == len(known) else {session_id: known[session_id] for session_id in renewed}
        for each in slid.values():
            each.renewed = now
        return slid

    async def _renewed_alone(self, session_id: str, principal: str) -> Session | GatewayError:
        try:
            return await self._lifecycle.keepalive(session_id, principal)
        except GatewayDraining as error:
            # In band it is the session that an error is about, and this one lives.
            return StoreUnavailable(error.message, session_id=session_id, retry_after=error.retry_after)
        except GatewayError as error:
            return error
