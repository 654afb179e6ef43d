"""Tests of worker pools: what the limits of an app do to its workers, and what of a worker's processes stays."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AppError, CallTimedOut, RunState, WorkerLost
from gateway.model import AppVersion, Limits
from gateway.testing.clock import FakeClock
from gateway.testing.gate import Gate
from gateway.testing.pool_adopting import OUTLIVE, record_of, standing_of
from gateway.testing.pool_harness import EPOCH, Leased, MakeApp, PoolFixtures, StartPool, answer, lease, share
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.workers.base import WorkerCall, WorkerPool

GREEDY = '''
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from sessiongateway.app import BaseApp


def hold(gate, word):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(gate)
        connection.sendall(f"{word}\\n".encode())
        connection.recv(16)


def daemon(program):
    """Start a process that keeps nothing of this one but what no process can get rid of."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild == 0:
            os.chdir("/")
            os.closerange(0, 256)
            if program:
                code = "import signal; signal.pause()"
                os.execve(sys.executable, [sys.executable, "-c", code], {})
            while True:
                signal.pause()
        os.write(write_end, str(grandchild).encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    return int(os.read(read_end, 16))


class App(BaseApp):
    def __init__(self):
        self.calls = 0
        self.hoard = []

    def run(self):
        self.calls += 1
        return {"calls": self.calls, "pid": os.getpid(), "cwd": os.getcwd()}

    def daemon(self, input):
        return {"pid": daemon(input["program"])}

    def die(self):
        os.kill(os.getpid(), 9)

    def devour(self, input):
        size = 1 << 20
        while True:
            try:
                self.hoard.append(bytearray(size))
            except MemoryError:
                if size <= input["leave"]:
                    raise
                size //= 2

    def children(self, input):
        code = f"x = bytearray(b'x') * {input['bytes']}; import signal; signal.pause()"
        for _ in range(input["number"]):
            subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
        return {}

    def write(self, input):
        for place in (".", tempfile.gettempdir()):
            for number in range(input["number"]):
                Path(place, f"file{number}").write_bytes(b"x" * input["bytes"])
        return {}

    async def hold(self, input):
        reader, writer = await asyncio.open_unix_connection(input["gate"])
        writer.write(f"{input['word']}\\n".encode())
        try:
            await reader.readline()
        finally:
            writer.close()
        return {"calls": self.calls}

    def block(self, input):
        hold(input["gate"], input["word"])
        return {}

    async def persist(self, input):
        while True:
            try:
                await self.hold(input)
            except asyncio.CancelledError:
                pass
'''

MIB = 1024 * 1024
LONG = 30.0
"""A limit of calls that does not come in real time: what a worker does by itself at that limit it does not do."""


async def advance_until(clock: FakeClock, condition: Callable[[], bool]) -> None:
    """Let time pass until something has come about that is measured now and then, and takes real time to be."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await clock.advance(1)


Obtain = Callable[[WorkerPool, AppVersion], Awaitable[Leased]]


class LimitFixtures(PoolFixtures):
    """What tests of limits work with."""

    @pytest.fixture
    def limited(self, make_app: MakeApp) -> Callable[..., AppVersion]:
        """Write an app with limits: `limited(memory=...)`."""

        def make(**limits: Any) -> AppVersion:
            return make_app(GREEDY, "greedy", limits=Limits(**limits))

        return make


class PoolLimiting(LimitFixtures):
    """What the limits of an app do to its workers."""

    async def test_a_function_that_takes_more_memory_than_its_process_may_fails_and_the_worker_goes_on(
        self, start_pool: StartPool, limited: Callable[..., AppVersion]
    ) -> None:
        pool, app = await start_pool(), limited(memory=64 * MIB, open_files=32)
        modest, greedy = await lease(pool, app), await lease(pool, app)
        for leased, leave in ((modest, 2**18), (greedy, 1)):
            for _ in range(2):
                with pytest.raises(AppError, match="MemoryError"):
                    await leased.call("devour", leave=leave)
            assert leased.worker.exit is None
        assert (await modest.call())["calls"] == 1

    async def test_files_beyond_the_limit_cannot_be_written_and_the_worker_goes_on(
        self, start_pool: StartPool, limited: Callable[..., AppVersion]
    ) -> None:
        leased = await lease(await start_pool(), limited(disk=MIB))
        with pytest.raises(AppError, match="File too large"):
            await leased.call("write", number=1, bytes=2 * MIB)
        assert (await leased.call())["calls"] == 1

    @pytest.mark.parametrize("obtain", [lease, share])
    @pytest.mark.parametrize(
        ("limit", "value", "function", "input"),
        [
            ("processes", 3, "children", {"number": 4, "bytes": 1}),
            ("memory", 96 * MIB, "children", {"number": 4, "bytes": 40 * MIB}),
            ("disk", MIB, "write", {"number": 100, "bytes": 8000}),
        ],
    )
    async def test_a_worker_that_takes_more_than_its_app_may_is_killed_with_all_that_it_has_started(  # noqa: PLR0917  # fixtures
        self,
        start_pool: StartPool,
        limited: Callable[..., AppVersion],
        clock: FakeClock,
        gate: Gate,
        obtain: Obtain,
        limit: str,
        value: int,
        function: str,
        input: dict[str, Any],
    ) -> None:
        pool = await start_pool()
        leased = await obtain(pool, limited(**{limit: value}))
        pids = [(await leased.call())["pid"], (await leased.call("daemon", program=True))["pid"]]
        await leased.call(function, **input)
        running = leased.begin("hold", gate=gate.path, word="w")
        await gate.arrival()
        await advance_until(clock, running.reply.done)
        with pytest.raises(WorkerLost, match=f"limits.{limit}") as caught:
            await answer(running)
        assert caught.value.run_state is RunState.UNKNOWN
        assert caught.value.metadata["limit"] == limit
        assert leased.worker.exit is not None
        assert leased.worker.exit.limit == limit
        await until(lambda: not any(map(exists, pids)))

    async def test_a_worker_within_its_limits_is_left_alone(
        self, start_pool: StartPool, limited: Callable[..., AppVersion], clock: FakeClock
    ) -> None:
        pool, app = await start_pool(), limited(processes=4, memory=256 * MIB, disk=MIB)
        modest, greedy = await lease(pool, app), await lease(pool, app)
        await modest.call("children", number=4, bytes=MIB)
        await modest.call("write", number=10, bytes=8000)
        await greedy.call("children", number=5, bytes=MIB)
        await advance_until(clock, lambda: greedy.worker.exit is not None)
        greedy = await lease(pool, app)
        await greedy.call("write", number=100, bytes=8000)
        await advance_until(clock, lambda: greedy.worker.exit is not None)
        assert (await modest.call())["calls"] == 1

    @pytest.mark.parametrize("obtain", [lease, share])
    async def test_a_call_that_takes_too_long_is_cancelled_and_its_worker_goes_on(
        self, start_pool: StartPool, limited: Callable[..., AppVersion], gate: Gate, obtain: Obtain
    ) -> None:
        leased = await obtain(await start_pool(), limited(call=0.1))
        with pytest.raises(CallTimedOut) as caught:
            await leased.call("hold", gate=gate.path, word="w")
        assert caught.value.run_state is RunState.UNKNOWN
        assert caught.value.metadata == {"app": "greedy", "version": "1", "function": "hold", "limit": "0.1"}
        assert await gate.departure() == "w"
        assert (await leased.call())["calls"] == 1

    async def test_a_repeat_of_a_call_that_took_too_long_is_told_the_same_and_runs_nothing(
        self, start_pool: StartPool, limited: Callable[..., AppVersion], gate: Gate
    ) -> None:
        leased = await lease(await start_pool(), limited(call=0.1))
        payload = f'{{"gate": "{gate.path}", "word": "w"}}'.encode()
        told = []
        for call_id in ("first", "again"):
            call = WorkerCall(
                "hold", payload, False, leased.session_id, EPOCH, call_id, request_id="r", fingerprint=b"same"
            )
            with pytest.raises(CallTimedOut) as caught:
                await answer(leased.worker.call(call))
            told.append((caught.value.message, caught.value.metadata, caught.value.run_state))
        assert told[0] == told[1]
        await gate.arrival()
        assert gate.nobody_came()

    @pytest.mark.parametrize("obtain", [lease, share])
    @pytest.mark.parametrize("function", ["block", "persist"])
    async def test_a_function_that_does_not_give_way_is_ended_with_its_worker(  # noqa: PLR0917  # fixtures
        self,
        start_pool: StartPool,
        limited: Callable[..., AppVersion],
        gate: Gate,
        clock: FakeClock,
        obtain: Obtain,
        function: str,
    ) -> None:
        leased = await obtain(await start_pool(), limited(call=LONG))
        running = leased.begin(function, gate=gate.path, word="w")
        await gate.arrival()
        await clock.advance(LONG)
        assert not running.reply.done()
        await clock.advance(LONG)
        with pytest.raises(CallTimedOut) as caught:
            await answer(running)
        assert caught.value.metadata["limit"] == "30"
        assert leased.worker.exit is not None
        assert leased.worker.exit.limit == "call"

    async def test_the_time_of_a_call_that_has_ended_is_not_counted_on(
        self, start_pool: StartPool, limited: Callable[..., AppVersion], clock: FakeClock
    ) -> None:
        leased = await lease(await start_pool(), limited(call=LONG))
        for calls in range(1, 4):
            assert (await leased.call())["calls"] == calls
            await clock.advance(LONG)
        assert leased.worker.exit is None

    @pytest.mark.parametrize("function", ["block", "persist"])
    async def test_a_call_that_an_adopted_worker_runs_is_bounded_too(
        self, start_pool: StartPool, limited: Callable[..., AppVersion], gate: Gate, clock: FakeClock, function: str
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, limited(call=LONG), outlive=OUTLIVE)
        leased.begin(function, gate=gate.path, word="w")
        await gate.arrival()
        await pool.close(keep_leased=True)
        adopted = await start_pool.again([record_of(leased)])
        worker = adopted.workers[leased.session_id]
        if function == "persist":
            await standing_of(Leased(worker, leased.session_id, EPOCH))
        assert worker.app.limits == Limits(call=LONG)
        await clock.advance(2 * LONG)
        await until(lambda: worker.exit is not None)
        assert worker.exit is not None
        assert worker.exit.limit == "call"

    @pytest.mark.parametrize("program", [True, False])
    @pytest.mark.parametrize("how", ["end", "die", "adopted", "left"])
    async def test_processes_that_have_left_the_group_of_a_worker_go_with_it(
        self, start_pool: StartPool, make_app: MakeApp, how: str, program: bool
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, make_app(GREEDY, "greedy"), outlive=OUTLIVE)
        cwd = (await leased.call())["cwd"]
        away = (await leased.call("daemon", program=program))["pid"]
        other = (await (await lease(pool, make_app(GREEDY, "other"))).call("daemon", program=program))["pid"]
        if how in ("adopted", "left"):
            await pool.close(keep_leased=True)
            assert exists(away)
            adopted = await start_pool.again([record_of(leased)] if how == "adopted" else [])
            if how == "adopted":
                leased = Leased(adopted.workers[leased.session_id], leased.session_id, EPOCH)
        else:
            assert exists(other)
        if how == "end":
            pool.end(leased.worker)
        elif how in ("die", "adopted"):
            with pytest.raises(WorkerLost):
                await leased.call("die")
        await until(lambda: not exists(away))
        await until(lambda: not Path(cwd).exists())
        if how in ("end", "die"):
            assert exists(other)
