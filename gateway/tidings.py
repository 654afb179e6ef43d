"""Hints for watches elsewhere: whose sessions have changed, for all changes of a turn of the loop at once."""

import asyncio
from collections.abc import Callable, Iterable

from gateway.rpc.peers.exchange import Exchange
from gateway.rpc.peers.neighbours import Peer
from gateway.rpc.peers.wire import Kind
from gateway.sessions.watch import News


class Tidings:
    """Between the news of this process and those of the others."""

    def __init__(self, exchange: Exchange, watching: Callable[[], Iterable[Peer]]) -> None:
        """`watching` returns the others that want to hear."""
        self._exchange = exchange
        self._watching = watching
        self._owners: set[str] = set()

    def connect(self, news: News) -> None:
        """Pass on what happens here, and wake the watches here for what happens there."""
        news.elsewhere = self._tell

        def wake(owners: bytes) -> None:
            for owner in owners.decode().split("\n"):
                news.wake(owner)

        self._exchange.on_hint[Kind.NEWS] = wake

    def _tell(self, owner: str) -> None:
        if not self._owners:
            asyncio.get_running_loop().call_soon(self._tell_all)
        self._owners.add(owner)

    def _tell_all(self) -> None:
        owners, self._owners = self._owners, set()
        for other in self._watching():
            self._exchange.hint(other, Kind.NEWS, "\n".join(owners).encode())
