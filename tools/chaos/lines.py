"""How a caller reaches the gateways: round all of them, or one in particular, and again when it was cut off."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

from sessiongateway import (
    AsyncInference,
    CallInterruptedError,
    DeadlineExceededError,
    GatewayDrainingError,
    SessionBusyError,
    StoreUnavailableError,
    UnavailableError,
)
from tools.chaos.tally import Tally

AnswerT = TypeVar("AnswerT")

PATIENCE = 60.0
"""Seconds in which a call must have been answered, repeats included."""

AGAIN = (
    UnavailableError,
    GatewayDrainingError,
    StoreUnavailableError,
    CallInterruptedError,
    SessionBusyError,
    DeadlineExceededError,
)
"""After these a call is sent again, with its request_id."""

_PAUSE = 0.05


class Gateways(Protocol):
    """Where they are, and who may call."""

    api_key: str
    address: str
    """What a client goes round."""
    each: tuple[str, ...]
    """Every gateway by itself."""


class Lines:
    """The clients of one caller. Closed at the end of an `async with`."""

    def __init__(self, gateways: Gateways, tally: Tally) -> None:
        self._gateways = gateways
        self._tally = tally
        self._clients: dict[str, AsyncInference] = {}

    async def __aenter__(self) -> "Lines":
        return self

    async def __aexit__(self, *_: object) -> None:
        async with AsyncExitStack() as stack:
            for client in self._clients.values():
                stack.push_async_callback(client.close)

    def round(self) -> AsyncInference:
        """Return the client that goes round all gateways."""
        return self._client(self._gateways.address)

    def each(self) -> list[AsyncInference]:
        """Return a client for each gateway."""
        return [self._client(address) for address in self._gateways.each]

    async def ask(self, ask: Callable[[AsyncInference], Awaitable[AnswerT]], gateway: int | None = None) -> AnswerT:
        """Ask, over one gateway or whichever is next, and send again what was cut off.

        Raises what the gateway answers, and the last error when nothing else came within PATIENCE.
        """
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await ask(self.round() if gateway is None else self.each()[gateway])
            except AGAIN:
                if time.monotonic() > until:
                    raise
                self._tally.repeats += 1
                await asyncio.sleep(_PAUSE)

    def _client(self, address: str) -> AsyncInference:
        if address not in self._clients:
            self._clients[address] = AsyncInference(address=address, api_key=self._gateways.api_key)
        return self._clients[address]
