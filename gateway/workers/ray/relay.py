"""TLS in front of a worker's door: what comes in through it goes on to the door, on the machine's own loopback."""

import asyncio
import contextlib

from gateway.workers.ray.dialling import TlsFiles

_READ = 256 * 1024


class Relay:
    """One listener, for the connections of gateways that show a certificate of the right authority."""

    def __init__(self, files: TlsFiles, door: tuple[str, int]) -> None:
        self._files = files
        self._door = door
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self, host: str) -> int:
        """Listen on a free port of that address, and return it. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, 0, ssl=self._files.context(server=True))
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close the listener and all that goes through it."""
        if self._server is not None:
            self._server.close()
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self._door)
            try:
                ways = (_pass(reader, inner_writer), _pass(inner_reader, writer))
                await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
            finally:
                inner_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # the worker is gone, and with it what was to be passed on
        finally:
            writer.close()
            self._passing.discard(task)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
