"""The system under test: the real manager, store and registry, on a machine in memory and in virtual time.

The event loop runs only while the test drives it, and always to the point at which nothing is left to do.
"""

import asyncio
import contextlib
import gc
import json
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from gateway.apps.registry import AppRegistry
from gateway.clock import Clock, Instant, Timer
from gateway.config import SessionSettings, Settings
from gateway.errors import WorkerExit
from gateway.model import Session
from gateway.sessions.manager import SessionManager
from gateway.sessions.pages import Tokens
from gateway.sessions.requests import Caller, RunRequest
from gateway.stores.base import SessionFilter
from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock
from gateway.testing.memory_machine import Leaving, MemoryMachine, Refused
from gateway.testing.memory_pool import MemoryPool
from gateway.worker_settings import WorkerSettings

TOKENS = Tokens()
"""All gateways of a data directory take one another's."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CAPACITY = 3
QUEUE_SIZE = 2
# Not on the lattice of the other times, so that no two events of different kinds fall together.
QUEUE_TIME = 7.345
ORPHAN_GRACE = 9.0
JOURNAL_WINDOW = 40.0

VERSIONS = {"tape": ("1", "2"), "other": ("1",)}
"""Apps with their versions; the last one is current."""


class SteppedLoop(asyncio.SelectorEventLoop):
    """Counts what is put on it, by which it is seen when nothing more comes."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduled = 0

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.scheduled += 1
        return super().call_soon(callback, *args, context=context)

    async def idle(self) -> None:
        """Let everything run until only timers are left."""
        quiet = 0
        while quiet < 2:
            before = self.scheduled
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.scheduled - before <= 1 else 0


class Tape:
    """The app: notes the token of each call that runs, and does as the call says."""

    def __init__(self, gates: dict[str, asyncio.Event], log: list[str]) -> None:
        self.tokens: list[str] = []
        self._gates = gates
        self._log = log

    async def run(self, input: dict[str, Any]) -> dict[str, Any]:
        token, mode = input["token"], input["mode"]
        if mode == "refuse":
            raise Refused("as asked")
        self.tokens.append(token)
        self._log.append(token)
        if mode in {"hold", "stubborn"}:
            await self._hold(self._gates.setdefault(token, asyncio.Event()), stubborn=mode == "stubborn")
        elif mode == "fail":
            raise ValueError(token)
        elif mode == "die":
            raise Leaving(WorkerExit(exit_code=3))
        return {"tape": self.tokens}

    async def _hold(self, gate: asyncio.Event, *, stubborn: bool) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                if not stubborn:
                    raise


class MortalClock(Clock):
    """A gateway's view of the clock: its timers go down with it."""

    boot_id = "fake"

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.dead = False

    def now(self) -> Instant:
        return self._clock.now()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return self._clock.call_later(delay, lambda: None if self.dead else callback())


@dataclass
class Running:
    """A gateway: one run of the program."""

    store: SqliteStore
    pool: MemoryPool
    manager: SessionManager
    clock: MortalClock


@dataclass(eq=False)
class World:
    """A machine, a data directory, and on them at most one gateway."""

    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    """The tokens of all calls that were ever run, in order."""

    def __post_init__(self) -> None:
        self.loop = SteppedLoop()
        self.clock = FakeClock(self.loop.idle)
        app = partial(Tape, self.gates, self.log)
        self.machine = MemoryMachine(self.clock, dict.fromkeys(VERSIONS, app))
        self._directory = tempfile.TemporaryDirectory(prefix="sgw-property-")
        self._path = Path(self._directory.name)
        (self._path / "app.py").write_text("")
        self._served = {f"{name}@{version}": self._path for name in VERSIONS for version in VERSIONS[name]}
        self.settings = Settings(
            data_dir=self._path,
            sessions=SessionSettings(queue_size=QUEUE_SIZE, journal_window=JOURNAL_WINDOW, retention=1e6),
            workers=WorkerSettings(
                max_workers=CAPACITY, min_idle=0, max_shared=1, queue_time=QUEUE_TIME, orphan_grace=ORPHAN_GRACE
            ),
        )
        self.running: Running | None = None
        self.leases: dict[str, str] = {}
        """Every lease that was ever seen: worker id to session id."""

    @property
    def gateway(self) -> Running:
        assert self.running is not None
        return self.running

    @property
    def elapsed(self) -> float:
        return self.clock.now().monotonic - 1000.0

    def do(self, work: Awaitable[T]) -> T:
        """Drive the loop until this is done, and everything that it set going."""

        async def run() -> T:
            try:
                return await work
            finally:
                await self.loop.idle()

        return self.loop.run_until_complete(run())

    def settle(self) -> None:
        """Drive the loop until nothing is left to do, with the timers of this moment."""
        self.loop.run_until_complete(self.clock.advance(0.0))

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(self.clock.advance(seconds))

    def begin(self, request: RunRequest, caller: Caller) -> asyncio.Task[Any]:
        """Have a caller send a call, without letting anything run yet."""
        task = self.loop.create_task(self.gateway.manager.run(request, caller))
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return task

    def start(self) -> None:
        """Start a gateway on what is there."""
        clock = MortalClock(self.clock)
        store = SqliteStore(self._path / "sessions.db")
        pool = MemoryPool(self.settings.workers, self.machine, clock)
        registry = AppRegistry(self._path / "apps", self._served)
        self.running = Running(
            store, pool, SessionManager(store, pool, registry, clock, self.settings, tokens=TOKENS), clock
        )
        self.do(store.open())
        self.do(self.gateway.manager.start())

    def crash(self) -> None:
        """The gateway is no more, from one moment to the next; its callers see a broken connection."""
        gateway, self.running = self.gateway, None
        gateway.clock.dead = True
        gateway.pool.crash()
        gateway.store._cancel_ends()  # what it has not written is lost
        gateway.store._db.close()
        for _ in range(100):
            orphans = asyncio.all_tasks(self.loop) - self.machine.tasks
            for task in orphans:
                task.cancel()
            self.settle()
            if not orphans:
                return
        raise AssertionError(f"tasks that cannot be cancelled: {orphans}")

    def stop(self, *, end_sessions: bool) -> None:
        """Stop the gateway as SIGTERM does, with no grace for the calls in flight."""
        gateway, self.running = self.gateway, None
        self.do(gateway.manager.close(end_sessions=end_sessions))
        self.do(gateway.pool.close(keep_leased=not end_sessions))
        self.do(gateway.store.close())
        gateway.clock.dead = True

    def drain(self) -> None:
        """Have the gateway refuse new calls."""
        hurry = asyncio.Event()
        hurry.set()
        self.do(self.gateway.manager.drain(0.0, hurry))

    def kill(self, worker_id: str) -> None:
        """End a worker's process from outside."""

        async def stop() -> None:
            self.machine.processes[worker_id].stop(WorkerExit(signal=9))

        self.do(stop())

    def forge(self, session_id: str) -> None:
        """Have the record of a session tell of another lease than its worker has; no gateway is there."""
        with contextlib.closing(sqlite3.connect(self._path / "sessions.db")) as db, db:
            db.execute("UPDATE sessions SET epoch = epoch - 1 WHERE id = ?", (session_id,))

    def release(self, token: str) -> None:
        """Let the call go on that holds with this token."""
        self.gates.setdefault(token, asyncio.Event()).set()
        self.settle()

    def records(self) -> list[Session]:
        """Return what the store has, the oldest first, without touching any."""
        page = self.do(self.gateway.store.page(SessionFilter(), 1000))
        return list(reversed(page.sessions))

    def tokens_of(self, worker_id: str) -> list[str]:
        """Return the state of a worker that lives."""
        instance = self.machine.processes[worker_id].instance
        assert isinstance(instance, Tape)
        return instance.tokens

    def close(self) -> None:
        """End everything, and see that nothing is left."""
        for gate in self.gates.values():
            gate.set()
        if self.running is not None:
            self.stop(end_sessions=True)
        for process in list(self.machine.processes.values()):
            self.kill(process.id)
        for gate in self.gates.values():
            gate.set()  # those too at which calls have arrived meanwhile, and take no notice of anything else
        self.settle()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.settle()
        self.loop.close()
        self._directory.cleanup()
        assert not left, f"tasks that never ended: {left}"
        gc.collect(0)


def payload(token: str, mode: str) -> bytes:
    """Return the input of a call."""
    return json.dumps({"token": token, "mode": mode}).encode()
