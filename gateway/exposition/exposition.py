"""One port for the numbers of all gateway processes.

All processes accept from it, so one that does not answer keeps no scrape waiting. Whichever is asked asks the others,
over a socket in the directory of the workers.
"""

import asyncio
import contextlib
import importlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from gateway.board import Member
from gateway.exposition.http import PATH, Endpoint
from gateway.exposition.snapshot import Snapshot, Sources
from gateway.timing import SCRAPE_PEER
from gateway.workers.runtime import peer_socket

logger = logging.getLogger("gateway.metrics")


class CannotExpose(Exception):
    """The address cannot be used; the text says why."""


class Exposition:
    """The metrics port of one gateway process. Whoever calls `start` calls `close`."""

    def __init__(self, address: str, sources: Sources, directory: Path, member: Member | None) -> None:
        """`directory` is that of the workers. With a `member` this is one of several processes on that address."""
        self._address = address
        self._sources = sources
        self._directory = directory
        self._member = member
        self._endpoint = Endpoint(self._page)
        self._inside: asyncio.Server | None = None
        self._render: Callable[[Mapping[str, Snapshot], int], Awaitable[bytes]]

    async def start(self) -> None:
        """Serve, once the directory is there. Raises CannotExpose."""
        # It loads Prometheus' client, which takes some fifty milliseconds: not in a gateway that nobody scrapes.
        page = importlib.import_module("gateway.exposition.page")
        self._render = page.render
        try:
            sockets = () if self._member is None else self._member.metrics
            address = await self._endpoint.start(self._address, page.CONTENT_TYPE, sockets)
        except OSError as error:
            raise CannotExpose(f"cannot serve metrics on {self._address}: {error.strerror or error}") from None
        if self._member is not None:
            path = self._socket(self._member.index)
            path.unlink(missing_ok=True)
            self._inside = await asyncio.start_unix_server(self._tell, str(path))
        logger.info("metrics at http://%s%s", address, PATH)

    async def close(self) -> None:
        """Serve no more."""
        await self._endpoint.close()
        if self._inside is not None and self._member is not None:
            self._inside.close()
            self._socket(self._member.index).unlink(missing_ok=True)

    async def _page(self) -> bytes:
        own = await self._sources.snapshot()
        if self._member is None:
            return await self._render({"0": own}, 1)
        # Those that are known to hang are not even asked.
        others = [other for other in self._member.others() if not self._member.hangs(other)]
        told = await asyncio.gather(*map(self._asked, others))
        found = {self._member.index: own} | {index: told for index, told in zip(others, told, strict=True) if told}
        return await self._render({str(index): found[index] for index in sorted(found)}, self._member.board.count)

    async def _asked(self, other: int) -> Snapshot | None:
        """Return the numbers of another process. None if it is not there, or does not answer in time."""
        try:
            async with asyncio.timeout(SCRAPE_PEER):
                reader, writer = await asyncio.open_unix_connection(str(self._socket(other)))
                with contextlib.closing(writer):
                    snapshot: Snapshot = json.loads(await reader.read())
                    return snapshot
        except (OSError, TimeoutError, ValueError) as error:
            logger.debug("gateway process %d does not tell its numbers: %s", other, error)
            return None

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            writer.write(json.dumps(await self._sources.snapshot()).encode())
            await writer.drain()

    def _socket(self, index: int) -> Path:
        own = peer_socket(self._directory, index)
        return own.with_name(own.name + ".numbers")
