"""A gate between a test and the functions of the app `probe`: a test knows when one runs, and decides when it goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

DEADLINE = 20.0


class Gate:
    """Listens on a Unix socket. A function that holds at the gate connects, says a word, and waits for a line."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._arrivals: asyncio.Queue[str] = asyncio.Queue()
        self._departures: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: dict[str, asyncio.StreamWriter] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def arrival(self) -> str:
        """Wait until somebody is at the gate, and return the word."""
        async with asyncio.timeout(DEADLINE):
            return await self._arrivals.get()

    async def departure(self) -> str:
        """Wait until one who was at the gate has gone, let in or torn away, and return the word."""
        async with asyncio.timeout(DEADLINE):
            return await self._departures.get()

    def nobody_came(self) -> bool:
        """Whether no arrival is yet to be seen."""
        return self._arrivals.empty()

    def open(self, word: str = "") -> None:
        """Let in whoever said the word."""
        self._waiting.pop(word).write(b"go\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        word = (await reader.readline()).decode().strip()
        self._waiting[word] = writer
        self._arrivals.put_nowait(word)
        try:
            await reader.read()  # until the other side is gone
        except (ConnectionError, asyncio.CancelledError):
            pass  # gone all the same, or the test is over
        finally:
            self._waiting.pop(word, None)
            self._departures.put_nowait(word)
            writer.close()
            self._serving.discard(task)

    async def close(self) -> None:
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@asynccontextmanager
async def listening_gate(path: Path) -> AsyncIterator[Gate]:
    """Keep a gate for as long as the context lasts."""
    gate = Gate(path)
    server = await asyncio.start_unix_server(gate.serve, gate.path)
    try:
        yield gate
    finally:
        server.close()
        await gate.close()
