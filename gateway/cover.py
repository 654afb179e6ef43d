"""New connections that the system deals to a gateway process that hangs, or has died, are taken by the next one.

With SO_REUSEPORT each process has a queue of its own for them, into which the system goes on putting what comes,
whether or not anybody accepts it. All processes have the sockets of all.
"""

import asyncio
import logging
import time

from gateway.board import Figure, Member
from gateway.listening import is_listening
from gateway.rpc.server import Server
from gateway.timing import HANG_COVER

logger = logging.getLogger("gateway")


class Cover:
    """What one process takes for others. Whoever calls `look` calls `close`."""

    def __init__(self, member: Member, server: Server) -> None:
        self._member = member
        self._server = server
        self._closed = False
        self._taking: dict[int, asyncio.Task[list[asyncio.Server]]] = {}

    def look(self) -> None:
        """Look whose connections are to be taken, from the event loop. Called often."""
        now = time.monotonic()
        for other in self._member.others():
            wanted = not self._closed and not self._member.board.stopping and self._is_mine(other, now)
            if not wanted:
                self._leave(other)
            elif other not in self._taking and any(map(is_listening, self._member.sockets[other])):
                self._taking[other] = asyncio.get_running_loop().create_task(self._take(other))

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        for other in list(self._taking):
            self._leave(other)

    def _is_mine(self, other: int, now: float) -> bool:
        if self._is_fresh(other, now):
            return False
        board = self._member.board
        if not board.shown(other, Figure.BEAT) and not board.shown(other, Figure.ENDED):
            return False  # it starts, with the gateway
        count = self._member.board.count
        following = ((other + distance) % count for distance in range(1, count))
        return next((index for index in following if self._is_fresh(index, now)), None) == self._member.index

    def _is_fresh(self, index: int, now: float) -> bool:
        return now - self._member.board.shown(index, Figure.BEAT) / 1000 < HANG_COVER

    async def _take(self, other: int) -> list[asyncio.Server]:
        servers = await self._server.listen_too(self._member.sockets[other])
        if servers:
            logger.info("new connections of gateway process %d are taken by this one", other)
        return servers

    def _leave(self, other: int) -> None:
        task = self._taking.pop(other, None)
        if task is not None:
            task.add_done_callback(_close)


def _close(task: asyncio.Task[list[asyncio.Server]]) -> None:
    if task.cancelled():
        return
    if (error := task.exception()) is not None:
        logger.error("connections of another process could not be taken", exc_info=error)
        return
    for server in task.result():
        server.close()
