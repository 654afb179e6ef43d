"""One watch over the whole run, which is taken up again behind the last event whenever its gateway goes away."""

import asyncio
from collections.abc import Sequence

from sessiongateway import AsyncInference, SessionGatewayError, SessionInfo, WatchEvent
from tools.chaos.tally import Tally

_PAUSE = 0.05

_CATCH_UP = 20.0
"""Seconds in which the watch must have told of all that is on record."""

_ENDS = (["expired"], ["ended"], ["worker_lost"])


class Watcher:
    """Collects events of one gateway, and compares them with what is on record in the end."""

    def __init__(self, address: str, api_key: str, tally: Tally) -> None:
        self._address = address
        self._api_key = api_key
        self._tally = tally
        self._events: dict[str, list[WatchEvent]] = {}
        self._token = ""
        self._told = asyncio.Event()
        self.stands = asyncio.Event()
        """What happens from now on is told."""

    async def run(self) -> None:
        """Watch until it is cancelled."""
        async with AsyncInference(address=self._address, api_key=self._api_key) as client:
            while True:
                try:
                    async with client.sessions.watch(self._token or None, show_watching=True) as watch:
                        async for event in watch:
                            self.take(event)
                except SessionGatewayError as error:
                    if error.code == "INVALID_REQUEST":
                        self._tally.wrong("wrong_events", f"the token was refused: {error}")
                        return
                    await asyncio.sleep(_PAUSE)

    def take(self, event: WatchEvent) -> None:
        """Take note of an event."""
        self._token = event.resume_token
        self.stands.set()
        if event.session is not None:
            self._tally.events += 1
            self._events.setdefault(event.session.id, []).append(event)
            self._told.set()

    async def compare(self, sessions: Sequence[SessionInfo], patience: float = _CATCH_UP) -> None:
        """Compare with what is on record, once the watch has told of as many ends as there are."""
        ends = sum(session.status != "active" for session in sessions)
        try:
            async with asyncio.timeout(patience):
                while sum(len(events) - 1 for events in self._events.values()) < ends:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            self._tally.wrong("wrong_events", f"the watch at {self._address} has not told of every end")
        for session in sessions:
            self._judge(session)
        for unknown in self._events.keys() - {session.id for session in sessions}:
            self._tally.wrong("wrong_events", f"{unknown} is not on record")

    def _judge(self, session: SessionInfo) -> None:
        told = [event.event for event in self._events.get(session.id, [])]
        expected = ["created"]
        if session.status == "expired":
            expected.append("expired")
        elif session.status == "ended":
            expected.append("worker_lost" if session.end_reason == "worker_lost" else "ended")
        # One that was still active when the list was made may have ended since.
        ended_since = session.status == "active" and told[:1] == expected and told[1:] in _ENDS
        if told != expected and not ended_since:
            self._tally.wrong("wrong_events", f"{session.id}: told {told}, on record {expected}")
