"""How the Redis store comes to its server, stays known to it, and comes back after a failure."""

import asyncio
import logging
import secrets
from typing import Any, Protocol

from gateway.clock import Clock
from gateway.stores.base import StoreFailure, StoreProblem, StoreUnusable
from gateway.stores.redis_checks import asked
from gateway.stores.redis_claims import NO_CLAIM, Standing, checked
from gateway.stores.redis_clock import ServerTime
from gateway.stores.redis_connection import Connection, Word
from gateway.stores.redis_errors import NoReply, ReplyError, failure_of
from gateway.stores.redis_turns import Turns
from gateway.timing import STORE_BUSY_LAST, STORE_OPEN_PATIENCE

logger = logging.getLogger("gateway.stores")

_RANDOM = 40
"""Bytes by which a new data set is known, and of the secret of its members."""

_MEASUREMENTS = 5
"""Comparisons of clocks on a new connection: the shortest one counts."""


class Server(Protocol):
    """Where the Redis is that has the records."""

    name: str
    """For messages, without secrets."""

    async def connect(self) -> Connection:
        """Connect to the server that can write now. Raises NoReply, ReplyError."""


class Link:
    """The store's way to its server. Gives `turns` a connection, and takes care of it."""

    def __init__(self, server: Server, clock: Clock, time: ServerTime, turns: Turns, claim: Standing | None) -> None:
        self._server, self._clock, self._time, self._turns = server, clock, time, turns
        self._claim = claim or NO_CLAIM
        self._data_set = b""
        self._connection: Connection | None = None
        self._generations = 0

    async def open(self) -> None:
        """Connect and make the writer known. Raises StoreUnusable."""
        since = self._clock.now().monotonic
        while True:
            try:
                await self._look()
                await self._begin(b"enter")
            except StoreFailure as failure:
                waited = self._clock.now().monotonic - since
                if failure.problem is not StoreProblem.BUSY or waited > STORE_OPEN_PATIENCE:
                    raise StoreUnusable(f"cannot open the store {self._server.name}: {failure.what}") from failure
            else:
                return
            await asyncio.sleep(STORE_BUSY_LAST)

    async def close(self) -> None:
        """Let go of the claim and the connection."""
        if self._turns.failure is None:
            try:
                await self._turns.alone(b"leave", *self._claim.farewell())
            except StoreFailure as failure:
                logger.info("the claim to %s runs out by itself: %s", self._server.name, failure)
        self._turns.close()
        await self._disconnect()

    async def inspect(self) -> None:
        """Renew the claim and look at the clocks. Raises StoreFailure."""
        connection = self._connection
        if connection is None or self._turns.failure is not None:
            return
        try:
            await self._claim.remain(self._turns)
            self._time.follow(*await self._compared(connection))
        except (NoReply, ReplyError, StoreFailure) as error:
            failure = error if isinstance(error, StoreFailure) else failure_of(error)
            if failure.problem is not StoreProblem.BUSY:
                self._turns.fail(failure)
            raise failure from error

    async def recover(self, failure: StoreFailure) -> None:
        """Connect anew, and settle what is unknown: what has happened and was not told is taken back.

        Raises StoreFailure.
        """
        self._turns.fail(failure)
        await self._turns.quiet()
        if failure.problem is StoreProblem.FENCED or not self._turns.generation:
            self._turns.begin_anew()
            self._claim.fenced()
            await self._begin(b"enter")
            return
        answer = await self._begin(b"recover", self._turns.acknowledged, self._turns.generation, self._data_set)
        if answer[1]:
            logger.error("records are missing in %s: it is empty, or in an earlier state", self._server.name)

    async def _look(self) -> None:
        """Say what the server might lose. Raises StoreUnusable for one that cannot be used, and StoreFailure."""
        try:
            connection = await self._server.connect()
            try:
                found = await asked(connection)
            finally:
                await connection.close()
        except (NoReply, ReplyError) as error:
            raise failure_of(error) from error
        if found.unusable:
            raise StoreUnusable(f"the store {self._server.name} cannot be used: {found.unusable}")
        for what, do in found.weaknesses:
            logger.warning("the store %s may lose sessions: %s: %s", self._server.name, what, do)

    async def _begin(self, how: bytes, *last: Word) -> Any:
        await self._disconnect()
        try:
            self._connection = connection = await self._server.connect()
            generation = self._next_generation()
            words = *self._claim.words(), self._claim.named(secrets.token_hex(_RANDOM)), *last
            answer = await self._turns.said(connection, generation, how, *words)
            entered = answer[0] if how == b"recover" else answer
            entered = answer if answer[0] == b"fenced" else entered
            checked(entered)
            self._time.begin(*min([await self._compared(connection) for _ in range(_MEASUREMENTS)], key=_length))
        except (NoReply, ReplyError) as error:
            await self._disconnect()
            raise failure_of(error) from error
        except BaseException:
            await self._disconnect()
            raise
        self._turns.settled(connection, generation)
        self._data_set = entered[1]
        self._claim.entered(entered)
        return answer

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _compared(self, connection: Connection) -> tuple[float, float, float]:
        """Return the server's time between two moments of this clock. Raises NoReply, ReplyError."""
        asked = self._clock.now().monotonic
        seconds, micros = await connection.send("TIME")
        return asked, int(seconds) + int(micros) / 1e6, self._clock.now().monotonic

    def _next_generation(self) -> str:
        self._generations += 1
        return f"{self._generations}.{secrets.token_hex(4)}"


def _length(comparison: tuple[float, float, float]) -> float:
    return comparison[2] - comparison[0]
