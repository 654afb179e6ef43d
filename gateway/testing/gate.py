"""A gate between a test and an app's functions: the test knows when one runs, and decides when it goes on.

A function stands at it by connecting to the Unix socket `Gate.path`, sending a line, its word, and waiting for a line.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.testing.waiting import DEADLINE


class Gate:
    """One gate, at which any number may stand, told apart by their words. Made by `listening_gate`."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        """Where it listens."""
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
        """Look after one who stands at the gate."""
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

    def let_users_pass(self) -> None:
        """Let workers come that are users of their own."""
        Path(self.path).chmod(0o777)
        Path(self.path).parent.chmod(0o711)

    async def close(self) -> None:
        """Let everyone go."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@asynccontextmanager
async def listening_gate(path: Path) -> AsyncIterator[Gate]:
    """Keep a gate for as long as the context lasts. The path must be short enough for a socket."""
    gate = Gate(path)
    server = await asyncio.start_unix_server(gate.serve, gate.path)
    gate.let_users_pass()
    try:
        yield gate
    finally:
        server.close()
        await gate.close()
