"""A worker that Ray has placed: its connection goes straight there, and its process its actor looks after."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.clock import Clock
from gateway.errors import AppStartFailed, WorkerExit
from gateway.model import AppVersion
from gateway.timing import ADOPTION_PATIENCE, CLEARED_PATIENCE, DIAL_PATIENCE, EXIT_PATIENCE, EXIT_SETTLE
from gateway.workers.base import WorkerLease
from gateway.workers.pooled import PooledWorker, StartInterrupted, WorkerState
from gateway.workers.ray.dialling import dial
from gateway.workers.ray.link import Link
from gateway.workers.replies import start_error, start_exit_error
from sessiongateway.worker.v1 import worker_pb2 as pb


class RayWorker(PooledWorker):
    """What the gateway knows of it comes on two ways: frames from the worker, and news from its actor by the driver."""

    def __init__(
        self,
        worker_id: str,
        app: AppVersion,
        clock: Clock,
        on_gone: Callable[[PooledWorker], object],
        *,
        link: Link,
        key: bytes,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(worker_id, app, clock, on_gone)
        self._link = link
        self._key = key
        self._tls = tls
        self._placed: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._cleared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connected = False
        self._limit = ""
        self._taken = False
        """It was adopted."""
        self._dialling: asyncio.Task[None] | None = None
        self._news: WorkerExit | None = None
        """How its process ended, when that is known."""
        self._settling: asyncio.TimerHandle | None = None

    @property
    def placed(self) -> bool:
        """Whether it is somewhere by now."""
        return self._placed.done()

    def told(self, what: Mapping[str, Any]) -> None:
        """Take in what its actor says."""
        kind = what["is"]
        if kind == "started" and not self._placed.done():
            self._placed.set_result(what)
        elif kind == "ended":
            self._ended(WorkerExit(what["exit_code"], what["signal"], what["limit"]))
        elif kind == "cleared":
            self._ended(WorkerExit())
            if not self._cleared.done():
                self._cleared.set_result(None)

    def interrupt(self, why: str) -> None:
        """Give up a start of which nobody can tell any more how it goes."""
        if not self._placed.done():
            self._placed.set_exception(StartInterrupted(why))
            self._placed.exception()

    async def start(self, order: Mapping[str, Any], timeout: float) -> None:
        """Have it placed, connect and wait until the app is set up.

        Raises AppStartFailed, StartInterrupted or OSError. However it ends without success, nothing stays of it.
        """
        try:
            self._link.say({"do": "start", "id": self.id, **order})
            placed = await self._placed
            if "failed" in placed:
                raise start_error(self.app.ref, pb.Failure(**placed["failed"]))
            if "interrupted" in placed:
                raise StartInterrupted(placed["interrupted"])
            self.functions = [function["name"] for function in placed["functions"]]
            await self._connect(placed["address"], DIAL_PATIENCE)
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill()
            raise start_exit_error(self.app.ref, WorkerExit(), f"setup() took more than {timeout:g} s") from None
        except BaseException:
            self.kill()
            raise

    async def adopt(self, lease: WorkerLease, grace: float, address: tuple[str, int]) -> bool:
        """Take it over from another gateway; False when it cannot be reached, or is not the one of that lease.

        One whose app blocks its loop is taken as it is, and connected when it lets somebody in.
        """
        self._placed.set_result({})
        self._adopt_on(lease)
        self._connection.hold()
        self._claim(lease, grace)
        self._dialling = asyncio.get_running_loop().create_task(self._connect(address, None))
        self._dialling.add_done_callback(self._dialled)
        with contextlib.suppress(TimeoutError, AppStartFailed):  # one that ends, or says what makes no sense, is lost
            async with asyncio.timeout(ADOPTION_PATIENCE):
                await asyncio.shield(self._ready)
        self._bound_unheard()
        self._taken = self.state is WorkerState.LEASED
        return self._taken

    def _dialled(self, dialling: asyncio.Task[None]) -> None:
        if dialling.cancelled() or dialling.exception() is None or self.state is not WorkerState.LEASED:
            return
        if self._taken:
            self._on_broken()
        else:
            self.detach()  # it is left alone, as if it had not been found
            self._resolve_ready()

    def _on_ready(self, ready: pb.Ready) -> None:
        # Each machine's clock runs since its own boot.
        self._connection.ahead = self._clock.now().monotonic - ready.now if ready.now else 0.0
        super()._on_ready(ready)

    def bind(self, session_id: str, epoch: int, outlive: float) -> None:
        super().bind(session_id, epoch, outlive)
        self._link.say({"do": "leased", "id": self.id, "session": session_id, "epoch": epoch})

    def detach(self) -> None:
        super().detach()
        self._link.say({"do": "forget", "id": self.id})

    def kill(self) -> None:
        if self._exit is None:
            if not self._placed.done():
                self._placed.cancel()
            self._link.say({"do": "stop", "id": self.id, "epoch": self.epoch}, surely=True)
            if self._connected:
                self._settle(EXIT_PATIENCE)
            else:
                self._finish()

    def exceed(self, limit: str, call_id: str = "") -> None:
        if self._exit is None and self.state is not WorkerState.DETACHED and not self._limit:
            self._limit = limit
            self._link.say({"do": "exceed", "id": self.id, "limit": limit, "epoch": self.epoch})
            self._settle(EXIT_PATIENCE)

    def remove(self) -> asyncio.Future[None]:
        if not self._cleared.done():
            timer = asyncio.get_running_loop().call_later(CLEARED_PATIENCE, self._give_up_on_rest)
            self._cleared.add_done_callback(lambda _: timer.cancel())
        return self._cleared

    def _give_up_on_rest(self) -> None:
        if not self._cleared.done():
            self._cleared.set_result(None)

    async def _connect(self, address: tuple[str, int], patience: float | None) -> None:
        host, port = address
        await dial(self.id, (host, port), self._key, self._connection, tls=self._tls, patience=patience)
        self._connected = True

    def _signal(self, number: signal.Signals) -> None:
        self._link.say({"do": "signal", "id": self.id, "number": int(number), "epoch": self.epoch}, surely=True)

    def _let_go(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        if self._dialling is not None:
            self._dialling.cancel()

    def _on_broken(self) -> None:
        self._connected = False
        if self._exit is not None or self.state is WorkerState.DETACHED:
            return
        if self._news is not None:
            self._finish()
            return
        if self.state is not WorkerState.ENDING:
            # The app closed the socket or wrote to it, or the way there is broken: nobody can use it any more.
            self._link.say({"do": "stop", "id": self.id, "epoch": self.epoch}, surely=True)
        self._settle(EXIT_PATIENCE)

    def _ended(self, exit_: WorkerExit) -> None:
        if self._exit is not None or self._news is not None or self.state is WorkerState.DETACHED:
            return
        self._news = exit_
        if self._connected:
            self._settle(EXIT_SETTLE)  # what it said last may still be on its way
        else:
            self._finish()

    def _settle(self, patience: float) -> None:
        """Wait no longer than that for what is still to come before it counts as gone."""
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(patience, self._finish)

    def _finish(self) -> None:
        if self._exit is None and self.state is not WorkerState.DETACHED:
            self.interrupt("its actor has ended")
            exit_ = self._news or WorkerExit()
            self._exited(replace(exit_, limit=exit_.limit or self._limit))
