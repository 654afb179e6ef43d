"""What stands between a store and its Redis, and loses things on the way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Proxy:
    """Hands on what comes, on a Unix socket, to another one and back."""

    def __init__(self, path: Path, behind: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self.lose_replies = False
        """Break a connection at the next reply, which is not handed on."""
        self.lose_answers_after = -1
        """The same after so many answers on a connection."""
        self.hold_requests = False
        """Keep what comes, of connections that are there by then, until `deliver`."""
        self.refuse = False
        """Break every connection that is made."""
        self.connections = 0
        """How many have been made."""
        self.lost = asyncio.Event()
        """A reply was lost."""
        self.held = asyncio.Event()
        """A request is kept."""
        self._answered = asyncio.Event()
        self._behind = behind
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: list[tuple[asyncio.StreamWriter, bytes]] = []

    async def deliver(self) -> None:
        """Hand on what was kept, although whoever sent it is gone, and wait until it was answered."""
        for writer, data in self._kept:
            self._answered.clear()
            writer.write(data)
            await self._answered.wait()
        self._kept.clear()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            if not self.refuse:
                answers, requests = await asyncio.open_unix_connection(self._behind)
                writers.append(requests)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._back(answers, writer))
                    await self._forth(reader, requests)
        except OSError:
            pass  # as whoever is at the other end sees too
        finally:
            for each in writers:
                each.close()
            self._tasks.discard(task)

    async def _forth(self, reader: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
        held = False
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.hold_requests:
                    held = True
                    self._kept.append((requests, data))
                    self.held.set()
                else:
                    requests.write(data)
        if not held:
            requests.close()

    async def _back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        with contextlib.suppress(OSError):
            while data := await answers.read(65536):
                self._answered.set()
                if self.lose_replies or answered == self.lose_answers_after:
                    self.lost.set()
                    break
                answered += 1
                writer.write(data)
        writer.close()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_before(redis: Path, path: Path) -> AsyncIterator[Proxy]:
    """Listen at a path for what is to go to the socket of a Redis."""
    proxy = Proxy(path, redis)
    server = await asyncio.start_unix_server(proxy.connected, path)
    yield proxy
    server.close()
    await proxy.close()
