"""The gateway's end of its driver: one process at a time, what is said to it, and whether Ray is there."""

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from gateway.ray_settings import RaySettings
from gateway.timing import RAY_BACKOFF_FIRST, RAY_BACKOFF_MAX, RAY_LEAVE
from gateway.workers.base import PoolUnavailable

logger = logging.getLogger("gateway.workers")

_LONGEST_LINE = 16 * 1024 * 1024

Told = Callable[[Mapping[str, Any]], object]


class DriverProcess:
    """A driver as a child of this process, one at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> socket.socket:
        """Start one, and return the connection to it. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "gateway.workers.ray.driver",
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        return ours

    async def end(self) -> None:
        """Wait for the end of the driver, whose connection is closed, and bring it about if it does not come."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            async with asyncio.timeout(RAY_LEAVE):
                await process.wait()
        except (TimeoutError, asyncio.CancelledError):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Link:
    """Keeps a driver running, and starts another one when it has ended: one attempt at a time, with pauses."""

    def __init__(
        self, settings: RaySettings, told: Told, changed: Callable[[], object], driver: DriverProcess | None = None
    ) -> None:
        """`told` gets what the driver says of a worker; `changed` is called when Ray comes or goes."""
        self._settings = settings
        self._driver = driver or DriverProcess()
        self._told = told
        self._changed = changed
        self._up = asyncio.Event()
        self._heard = asyncio.Event()
        """Set when Ray has been reached, or when it is known why not."""
        self._connected = False
        self._closing = False
        self._why = "it was not reached yet"
        self._writer: asyncio.StreamWriter | None = None
        self._unsaid: list[Mapping[str, Any]] = []
        """What must be said whenever there is a driver to hear it."""
        self._asks: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._running: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Whether Ray is there."""
        return self._up.is_set()

    @property
    def why(self) -> str:
        """Why it is not."""
        return self._why

    def open(self) -> None:
        """Begin."""
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def reached(self, timeout: float) -> bool:
        """Wait until Ray is there. Returns False if it is not after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._up.wait()
        return self.available

    async def answered(self, timeout: float) -> bool:
        """Wait until Ray is there or it is known why not, for so many seconds. Returns whether it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._heard.wait()
        return self.available

    async def close(self) -> None:
        """End the driver."""
        if self._running is not None:
            self._changed = _nothing
            self._closing = True
            self._running.cancel()
            await asyncio.wait([self._running])

    def say(self, what: Mapping[str, Any], *, surely: bool = False) -> None:
        """Say something; with `surely` to the next driver, if there is none."""
        if self._writer is not None and self._connected:
            self._writer.write(json.dumps(what).encode() + b"\n")
        elif surely:
            self._unsaid.append(what)

    async def ask(self, what: Mapping[str, Any]) -> Any:
        """Ask something, and return the answer. Raises PoolUnavailable when Ray is away, or goes away meanwhile."""
        if not self.available:
            raise self.unavailable()
        number = next(self._numbers)
        answer = self._asks[number] = asyncio.get_running_loop().create_future()
        self.say({**what, "ask": number})
        try:
            return await answer
        finally:
            self._asks.pop(number, None)

    def unavailable(self) -> PoolUnavailable:
        """Return what those are told who need Ray now."""
        return PoolUnavailable.of(f"Ray is away: {self._why}")

    async def _run(self) -> None:
        pause = RAY_BACKOFF_FIRST
        while True:
            was_there = await self._once()
            pause = RAY_BACKOFF_FIRST if was_there else min(pause * 2, RAY_BACKOFF_MAX)
            await asyncio.sleep(pause)

    async def _once(self) -> bool:
        """Run one driver to its end. Returns whether it had reached Ray."""
        had_reached = False
        try:
            sock = await self._driver.start()
            reader, self._writer = await asyncio.open_connection(sock=sock, limit=_LONGEST_LINE)
            hello = {"address": self._settings.address, "namespace": self._settings.namespace}
            self._writer.write(json.dumps(hello).encode() + b"\n")
            had_reached = await self._listen(reader)
        except OSError as error:
            self._away(str(error))
        finally:
            self._gone()
            await self._driver.end()
        return had_reached

    async def _listen(self, reader: asyncio.StreamReader) -> bool:
        had_reached = False
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                what = json.loads(line)
                if what.get("is") in ("up", "back"):
                    had_reached = True
                    self._reached()
                elif what.get("is") == "away":
                    self._away("its head does not answer")
                elif what.get("is") == "refused":
                    self._away(what["why"])
                elif "answer" in what:
                    answer = self._asks.get(what["answer"])
                    if answer is not None and not answer.done():
                        answer.set_result(what["with"])
                else:
                    self._told(what)
        return had_reached

    def _reached(self) -> None:
        self._connected = True
        unsaid, self._unsaid = self._unsaid, []
        for what in unsaid:
            self.say(what)
        if not self.available:
            logger.info("Ray is there")
            self._up.set()
            self._heard.set()
            self._changed()

    def _away(self, why: str) -> None:
        if not self._closing and (self.available or why != self._why):
            logger.warning("Ray is away, and no worker can be started: %s", why)
        self._why = why
        self._heard.set()
        for answer in self._asks.values():
            if not answer.done():
                answer.set_exception(self.unavailable())
        if self.available:
            self._up.clear()
            self._changed()

    def _gone(self) -> None:
        writer, self._writer, self._connected = self._writer, None, False
        if writer is not None:
            writer.close()
        if self.available:
            self._away("its driver has ended")


def _nothing() -> None:
    """Nobody is to hear of it any more."""
