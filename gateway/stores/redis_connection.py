"""One connection to a Redis server: commands go out in the order in which they are given, replies come back in it.

The parser is hiredis, and nothing else of a client is between it and the event loop: a batch of calls costs a few
microseconds here, where the pools, retries and timeouts of a general client cost several times as much.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis

from gateway.stores.redis_errors import NoReply, ReplyError
from gateway.timing import REDIS_CONNECT, REDIS_REPLY

Word = bytes | str | int | float

_MORE = object()


class Connection(asyncio.Protocol):
    """A connection, made by `connected`. One that has failed stays so: whoever has it makes another."""

    def __init__(self, place: str) -> None:
        """`place` says where it leads, for messages."""
        self.place = place
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_MORE)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._lost: NoReply | None = None
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()

    def send(self, *command: Word) -> "asyncio.Future[Any]":
        """Send a command. The future has its reply, or raises ReplyError or NoReply, within REDIS_REPLY seconds."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self._lost is not None or self._transport is None:
            reply.set_exception(self._lost or NoReply(f"{self.place}: not connected"))
            return reply
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its types forget some
        self._waiting.append(reply)
        if self._timer is None:
            self._timer = self._loop.call_later(REDIS_REPLY, self._too_late)
        return reply

    def give_up(self) -> None:
        """Have nothing more to do with a connection that was not made in time. Waits for nothing: when it was made in
        that very moment, uvloop closes it without a word to its protocol.
        """
        self._break("given up")

    async def close(self) -> None:
        """Disconnect. Replies that are yet to come are none. Closing twice is fine."""
        self._fail(NoReply(f"{self.place}: the connection was closed"))
        if self._transport is not None:
            self._transport.abort()
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _MORE:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self._break(f"what it answers is not the protocol of Redis ({error})")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(NoReply(f"{self.place}: the connection was lost{f' ({exc})' if exc else ''}"))
        if not self._closed.done():
            self._closed.set_result(None)

    def _take(self, reply: object) -> None:
        if isinstance(reply, hiredis.PushNotification) or not self._waiting:
            return
        waiting = self._waiting.popleft()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_later(REDIS_REPLY, self._too_late) if self._waiting else None
        if waiting.done():
            return
        if isinstance(reply, ReplyError):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def _too_late(self) -> None:
        self._timer = None
        self._break(f"no reply within {REDIS_REPLY:g} s")

    def _break(self, why: str) -> None:
        self._fail(NoReply(f"{self.place}: {why}"))
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: NoReply) -> None:
        self._lost = self._lost or error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(self._lost)


async def connected(
    place: str,
    *,
    path: str = "",
    host: str = "",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    hello: Sequence[Sequence[str]] = (),
) -> Connection:
    """Connect to a socket at a path, or to a port, and say these commands first.

    Raises NoReply, and ReplyError when one of them is refused.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(place)
    try:
        async with asyncio.timeout(REDIS_CONNECT):
            if path:
                await loop.create_unix_connection(lambda: connection, path)
            else:
                await loop.create_connection(lambda: connection, host, port, ssl=tls)
    except TimeoutError:
        connection.give_up()
        raise NoReply(f"{place}: no connection within {REDIS_CONNECT:g} s") from None
    except (OSError, ssl.SSLError) as error:
        raise NoReply(f"{place}: {error}") from error
    try:
        for command in hello:
            await connection.send(*command)
    except BaseException:
        await connection.close()
        raise
    return connection
