"""The other processes of one gateway: on Unix sockets, by the memory that they share."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from gateway.board import Figure, Member
from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.link import Link
from gateway.rpc.peers.neighbours import Neighbours, Peer
from gateway.workers.runtime import peer_socket


class Processes(Neighbours):
    """Processes are known by their numbers."""

    def __init__(self, member: Member, directory: Path) -> None:
        """`directory` is that of the workers, where the sockets of the processes are too."""
        self._member = member
        self._directory = directory
        self._server: asyncio.Server | None = None

    @property
    def here(self) -> Peer:
        return self._member.index

    def others(self) -> Iterable[Peer]:
        return [other for other in self._member.others() if self._member.serving(other)]

    def serving(self, other: Peer) -> bool:
        return self._member.serving(cast(int, other))

    def hangs(self, other: Peer) -> bool:
        return self._member.hangs(cast(int, other))

    def gone(self, other: Peer) -> bool:
        return False

    async def listen(self, visitor: Callable[[], Visitor]) -> None:
        path = peer_socket(self._directory, self._member.index)
        path.unlink(missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(visitor, str(path))
        os.chmod(path, 0o600)  # noqa: PTH101  # and nobody else reaches it before: the directory is 0700

    async def connect(self, other: Peer, link: Callable[[], Link]) -> Link:
        path = str(peer_socket(self._directory, cast(int, other)))
        return (await asyncio.get_running_loop().create_unix_connection(link, path))[1]

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            peer_socket(self._directory, self._member.index).unlink(missing_ok=True)

    def count_plain(self, change: int) -> None:
        self._member.show(Figure.PLAIN, self._member.shown(Figure.PLAIN) + change)
