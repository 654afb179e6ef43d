"""What an exchange of requests has to know of the others: who is there, how to connect, and who is to answer what."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.rpc.peers.door import Visitor
from gateway.rpc.peers.link import Link
from gateway.rpc.peers.wire import Flag

Peer = int | str
"""Names one of the others, for as long as it runs: the number of a process, or the writer of a gateway."""

NOBODY = ""
"""Stands for who is to answer when that is not known: it is looked up anew, and else answered by the one that asks."""


class Neighbours(ABC):
    """The others, and the way to them. Whoever calls `listen` calls `close`."""

    @property
    @abstractmethod
    def here(self) -> Peer:
        """The one that asks."""

    @abstractmethod
    def others(self) -> Iterable[Peer]:
        """Return the others that answer."""

    @abstractmethod
    def serving(self, other: Peer) -> bool:
        """Whether one of them answers."""

    @abstractmethod
    def hangs(self, other: Peer) -> bool:
        """Whether it does not answer for the moment. It may come back, and go on with what it was asked."""

    @abstractmethod
    def gone(self, other: Peer) -> bool:
        """Whether nothing of it is to be waited for any more."""

    @abstractmethod
    async def listen(self, visitor: Callable[[], Visitor]) -> None:
        """Let the others in. Raises OSError."""

    @abstractmethod
    async def connect(self, other: Peer, link: Callable[[], Link]) -> Link:
        """Return a connection to one of them. Raises OSError."""

    @abstractmethod
    def close(self) -> None:
        """Let nobody in any more."""

    def origin(self) -> float:
        """Return the moment from which deadlines are told, on the monotonic clock: 0 where all have the same one."""
        return 0.0

    def count_plain(self, change: int) -> None:  # noqa: B027  # not everybody counts them
        """Hear that there are more, or fewer, plain calls in flight here."""

    async def look_again(self) -> None:  # noqa: B027  # nor can everybody be wrong
        """Find out anew who has what: one that was asked is not there, or says that it does not have it."""


class Routing(Protocol):
    """Who is to answer a request."""

    def of_call(self, data: bytes, principal: str) -> tuple[Peer, Flag]:
        """Return who is to answer a RunRequest, and what it is to know."""

    def of_session(self, data: bytes) -> Peer:
        """Return who is to answer a request whose first field is `session_id`."""

    def of_id(self, session_id: str) -> Peer:
        """Return who has a session; for what cannot be one, the one that asks."""

    def session_of(self, name: str, data: bytes) -> str:
        """Return the id of the session that a request is for, empty when it is for none yet."""

    def is_for_another(self, name: str, data: bytes) -> bool:
        """Whether a request that came from another one is not for this one after all."""
