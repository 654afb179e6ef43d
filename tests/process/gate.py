"""A place where an app's function reports in the middle of a call, and waits until the test lets it go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.process.observe import DEADLINE


class Visit:
    """One function that is in the middle of its call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def release(self) -> None:
        """Let the function go on."""
        self._writer.close()

    async def left(self) -> None:
        """Wait until the function has gone away by itself: cancelled, or its process has ended."""
        async with asyncio.timeout(DEADLINE):
            try:
                await self._reader.read()
            except ConnectionResetError:
                return


class Gate:
    """Hands out the visits in the order in which they come."""

    def __init__(self) -> None:
        self.port = 0
        self._visits: asyncio.Queue[Visit] = asyncio.Queue()
        self._all: list[Visit] = []

    async def visit(self) -> Visit:
        """Wait for the next function that comes."""
        async with asyncio.timeout(DEADLINE):
            return await self._visits.get()

    @property
    def waiting(self) -> int:
        """How many have come that nobody has asked for yet."""
        return self._visits.qsize()

    def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take in a connection."""
        visit = Visit(reader, writer)
        self._all.append(visit)
        self._visits.put_nowait(visit)

    def release_all(self) -> None:
        """Let everyone go."""
        for visit in self._all:
            visit.release()


@asynccontextmanager
async def open_gate() -> AsyncIterator[Gate]:
    """Open a gate on a loopback port; in the end everyone who is there is let go."""
    gate = Gate()
    server = await asyncio.start_server(gate.enter, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        server.close()
        gate.release_all()
        await server.wait_closed()
