"""As much of HTTP as a scrape needs: GET /metrics, an answer, the end of the connection."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence

from gateway.timing import SCRAPE_PATIENCE

logger = logging.getLogger("gateway.metrics")

PATH = "/metrics"

_MAX_HEAD = 8192
"""Bytes of a request line with its header fields."""

_MAX_WAITING = 64
"""Connections whose request is not whole yet. For a further one the oldest gives way, which is
not a scrape: that is whole at once."""

_MAX_ANSWERED = 16
"""Requests at a time. Further ones are closed at once."""

_TEXT = "text/plain; charset=utf-8"


class Endpoint:
    """The HTTP port. Whoever calls `start` calls `close`."""

    def __init__(self, page: Callable[[], Awaitable[bytes]]) -> None:
        """`page` makes what is served. It is not called again before it has returned."""
        self._content_type = _TEXT
        self._page = page
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        """The oldest first."""
        self._answered = 0
        self._servers: list[asyncio.Server] = []

    async def start(self, address: str, content_type: str, sockets: Sequence[socket.socket] = ()) -> str:
        """Serve on HOST:PORT and return it with the port that it became. Raises OSError.

        `sockets` listen there already, and other processes accept from them too.
        """
        self._content_type = content_type
        if sockets:
            for bound in sockets:
                self._servers.append(await asyncio.start_server(self._serve, sock=bound.dup(), limit=_MAX_HEAD))
            return address
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(self._serve, host.strip("[]"), int(port), limit=_MAX_HEAD)
        self._servers.append(server)
        return f"{host}:{server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Take no more requests, and cut off those that are being served."""
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.pop(next(iter(self._waiting))).transport.abort()
        self._waiting[task] = writer
        try:
            # What a client sends that is no request, that takes too long, or that goes away is its own affair.
            with contextlib.suppress(OSError, TimeoutError, EOFError):
                head = await self._head(reader)
                self._waiting.pop(task, None)
                if self._answered < _MAX_ANSWERED:
                    await self._answer(head, reader, writer)
        except Exception:
            logger.exception("a scrape failed")
        finally:
            self._waiting.pop(task, None)
            self._tasks.discard(task)
            # At once: a client that does not read what it asked for must not keep the connection.
            writer.transport.abort()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        """Return a request up to its empty line; nothing of one that is too long."""
        try:
            async with asyncio.timeout(SCRAPE_PATIENCE):
                return await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return b""

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answered += 1
        try:
            await self._tell(head, reader, writer)
        finally:
            self._answered -= 1

    async def _tell(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, body = await self._response(head)
        kind = self._content_type if status == "200 OK" else _TEXT
        fields = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(fields.encode() + (b"" if head.startswith(b"HEAD ") else body))
        async with asyncio.timeout(SCRAPE_PATIENCE):
            await writer.drain()
            writer.write_eof()
            # Until the client has gone, too: an abort before that may cost it the end of the page.
            while await reader.read(_MAX_HEAD):
                pass

    async def _response(self, head: bytes) -> tuple[str, bytes]:
        """Return the status and the body for a request."""
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  # method, path, version
            return "400 Bad Request", b"this is no request of HTTP/1.1\n"
        method, path, _ = words
        if path.partition(b"?")[0] != PATH.encode():
            return "404 Not Found", f"there is only {PATH}\n".encode()
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b"it can only be read\n"
        async with self._one_at_a_time:
            return "200 OK", await self._page()
