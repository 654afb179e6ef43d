"""One watch over the whole run, which is taken up again behind the last event whenever the gateway goes away."""

import asyncio
from collections.abc import Callable

from sessiongateway import AsyncInference, SessionGatewayError, SessionInfo, WatchEvent
from tools.chaos.report import Tally

API_KEY = "chaos"

_STEP = 0.2
"""Seconds after which the watch looks whether the gateway has come back at another address."""

_CATCH_UP = 20.0
"""Seconds in which the watch must have told of all that is on record."""


class Watcher:
    """Collects events, and compares them with what is on record in the end."""

    def __init__(self, address: Callable[[], str], tally: Tally) -> None:
        self._address = address
        self._tally = tally
        self._events: dict[str, list[WatchEvent]] = {}
        self._token = ""
        self._told = asyncio.Event()
        self.stands = asyncio.Event()
        """What happens from now on is told."""

    async def run(self) -> None:
        """Watch until it is cancelled."""
        while True:
            address = self._address()
            try:
                async with AsyncInference(address=address, api_key=API_KEY) as client:
                    await self._read(client, address)
            except SessionGatewayError as error:
                if error.code == "INVALID_REQUEST":
                    self._tally.wrong("wrong_events", f"the token was refused: {error}")
                    return
                await asyncio.sleep(0.05)

    async def _read(self, client: AsyncInference, address: str) -> None:
        watch = client.sessions.watch(self._token or None, show_watching=True)
        async with watch:
            while self._address() == address:
                try:
                    event = await asyncio.wait_for(anext(watch), _STEP)
                except TimeoutError:
                    continue
                self._token = event.resume_token
                self.stands.set()
                if event.session is not None:
                    self._tally.events += 1
                    self._events.setdefault(event.session.id, []).append(event)
                    self._told.set()

    async def compare(self) -> None:
        """Compare with the list of all sessions, once the watch has told of as many ends as there are."""
        async with AsyncInference(address=self._address(), api_key=API_KEY) as client:
            sessions = [session async for session in client.sessions.list(page_size=1000)]
        ends = sum(session.status != "active" for session in sessions)
        try:
            async with asyncio.timeout(_CATCH_UP):
                while sum(len(events) - 1 for events in self._events.values()) < ends:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            self._tally.wrong("wrong_events", "the watch has not told of every end")
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
        if told != expected and not (session.status == "active" and told[:1] == expected):
            self._tally.wrong("wrong_events", f"{session.id}: told {told}, on record {expected}")
