"""What the gateway makes of what its driver of Ray says first."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from gateway.ray_settings import RaySettings
from gateway.testing.waiting import DEADLINE
from gateway.workers.ray.link import DriverProcess, Link


class Saying(DriverProcess):
    """A driver that says one thing at its start, and stays."""

    def __init__(self, what: Mapping[str, str]) -> None:
        super().__init__()
        self._what = what
        self._socket: socket.socket | None = None

    async def start(self) -> socket.socket:
        ours, self._socket = socket.socketpair()
        self.say(self._what)
        return ours

    def say(self, what: Mapping[str, str]) -> None:
        """Say another thing."""
        assert self._socket is not None
        self._socket.sendall(json.dumps(what).encode() + b"\n")

    async def end(self) -> None:
        if self._socket is not None:
            self._socket.close()


@asynccontextmanager
async def link_to(driver: DriverProcess) -> AsyncIterator[Link]:
    link = Link(RaySettings(), lambda _: None, lambda: None, driver)
    link.open()
    try:
        yield link
    finally:
        await link.close()


@pytest.mark.parametrize(
    ("what", "there", "why"),
    [
        ({"is": "refused", "why": "ConnectionError: no cluster"}, False, "no cluster"),
        ({"is": "up", "version": "2"}, True, ""),
    ],
)
async def test_whoever_asks_how_it_stands_is_told_as_soon_as_the_driver_knows(
    what: Mapping[str, str], there: bool, why: str
) -> None:
    async with link_to(Saying(what)) as link, asyncio.timeout(DEADLINE):
        assert await link.answered(10 * DEADLINE) is there
        assert why in link.why


async def test_whoever_needs_ray_waits_for_it_although_it_has_refused_once() -> None:
    driver = Saying({"is": "refused", "why": "not yet"})
    async with link_to(driver) as link, asyncio.timeout(DEADLINE):
        assert not await link.answered(10 * DEADLINE)
        driver.say({"is": "up", "version": "2"})
        assert await link.reached(10 * DEADLINE)
