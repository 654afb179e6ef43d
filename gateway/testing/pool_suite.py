"""The suite by which a worker pool proves itself: each sentence of `gateway.workers.base` is a test.

Subclass WorkerPoolSuite, or the parts of it, in a test module and give it a fixture `start_pool`: called with settings
of `gateway.config.WorkerSettings`, it starts a pool on the fixture `clock`, with no workers kept ready unless
`min_idle` says so, and closes it after the test. `start_method` is how the apps' workers are to be started.
"""

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.errors import (
    AppError,
    AppStartFailed,
    FunctionNotFound,
    InvalidRequest,
    NoWorkerAvailable,
    RunState,
    WorkerExit,
    WorkerLeased,
    WorkerLost,
    WorkerNotFound,
)
from gateway.model import AppVersion
from gateway.testing.clock import FakeClock, settle
from gateway.testing.gate import Gate, listening_gate
from gateway.testing.pool_apps import BROKEN, OBEDIENT, write_app
from gateway.workers.base import PendingCall, Worker, WorkerCall, WorkerPool

StartPool = Callable[..., Awaitable[WorkerPool]]
MakeApp = Callable[..., AppVersion]

PATIENCE = 1000.0
"""Virtual seconds that a test waits for a worker that is to come."""

DEADLINE = 20.0
"""Real seconds after which a test that waits has failed."""

_numbers = itertools.count(1)


class Leased:
    """A worker and the lease or the place on which it is called."""

    def __init__(self, worker: Worker, session_id: str = "", epoch: int = 0) -> None:
        self.worker = worker
        self.session_id = session_id
        self._epoch = epoch

    def begin(self, function: str = "run", **input: Any) -> PendingCall:
        payload = json.dumps(input).encode()
        return self.worker.call(WorkerCall(function, payload, False, self.session_id, self._epoch))

    async def call(self, function: str = "run", **input: Any) -> dict[str, Any]:
        return dict(json.loads(await answer(self.begin(function, **input))))


async def answer(call: PendingCall) -> bytes:
    """Return a call's output, or raise its error, in time."""
    async with asyncio.timeout(DEADLINE):
        return await call.reply


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.002)


async def lease(pool: WorkerPool, app: AppVersion, *, timeout: float = PATIENCE, **fields: Any) -> Leased:
    """Lease a worker to a session of its own."""
    session_id = f"sess_{next(_numbers)}"
    worker = await pool.lease(app, session_id, 7, timeout=timeout, **fields)
    return Leased(worker, session_id, 7)


async def share(pool: WorkerPool, app: AppVersion, timeout: float = PATIENCE) -> Leased:
    """Get a place on a shared worker."""
    return Leased(await pool.acquire_shared(app, timeout=timeout))


def exists(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class PoolFixtures:
    """What the tests of a pool work with: virtual time, apps, and a gate to hold their functions at."""

    start_method: Literal["fork", "spawn"] = "fork"

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def make_app(self, tmp_path: Path) -> MakeApp:
        """Write an app: `make_app(source, name=..., concurrency=...)`."""

        def make(source: str = OBEDIENT, name: str = "obedient", **options: Any) -> AppVersion:
            options.setdefault("start_method", self.start_method)
            return write_app(tmp_path / "apps" / name, source, name=name, **options)

        return make

    @pytest.fixture
    def app(self, make_app: MakeApp) -> AppVersion:
        return make_app()

    @pytest.fixture
    def short_path(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="sgw") as directory:
            yield Path(directory)

    @pytest.fixture
    async def gate(self, short_path: Path) -> AsyncIterator[Gate]:
        async with listening_gate(short_path / "gate") as gate:
            yield gate


class PoolStarting(PoolFixtures):
    """Descriptions, and apps that do not start."""

    async def test_an_app_is_described_by_its_functions_in_order_of_their_names(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        functions = await pool.describe(app, timeout=PATIENCE)
        names = [function.name for function in functions]
        assert names == sorted(names)
        assert {"run", "kept", "hold"} <= set(names)
        assert {"setup", "unload"}.isdisjoint(names)
        (run,) = [function for function in functions if function.name == "run"]
        assert run.description == "Count the calls."
        assert json.loads(run.input_schema)["type"] == "object"

    async def test_an_import_that_takes_too_long_for_the_asker_goes_on_for_the_next(
        self, start_pool: StartPool, make_app: MakeApp, gate: Gate, clock: FakeClock
    ) -> None:
        source = OBEDIENT + f"\nhold({gate.path!r}, 'import')\n"
        app = make_app(source)
        pool = await start_pool()
        asked = asyncio.create_task(pool.describe(app, timeout=10))
        assert await gate.arrival() == "import"
        await clock.advance(9.9)
        assert not asked.done()
        await clock.advance(0.1)
        with pytest.raises(NoWorkerAvailable):
            await asked
        again = asyncio.create_task(pool.describe(app, timeout=PATIENCE))
        gate.open("import")
        assert await again
        assert gate.nobody_came()

    @pytest.mark.parametrize("wrong", BROKEN)
    async def test_an_app_that_does_not_start_is_told_with_the_reason(
        self, start_pool: StartPool, make_app: MakeApp, wrong: str
    ) -> None:
        source, kind, text = BROKEN[wrong]
        app = make_app(source, name="broken")
        pool = await start_pool()
        for ask in (lease, share):
            with pytest.raises(AppStartFailed) as caught:
                await ask(pool, app)
            error = caught.value
            assert error.run_state is RunState.NOT_STARTED
            assert error.failure is not None
            assert error.failure.type == kind or (self.start_method == "spawn" and error.failure.type == "SystemExit")
            if self.start_method == "fork":
                assert text in error.failure.message
            assert error.metadata["app"] == "broken"

    async def test_everyone_who_waits_for_an_app_that_does_not_start_hears_of_it(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        app = make_app(BROKEN["a setup that raises"][0], name="broken", concurrency=2)
        pool = await start_pool(max_shared=2)
        async with asyncio.timeout(DEADLINE):
            outcomes = await asyncio.gather(
                *(share(pool, app) for _ in range(7)), *(lease(pool, app) for _ in range(3)), return_exceptions=True
            )
        assert {type(outcome) for outcome in outcomes} == {AppStartFailed}

    async def test_an_app_that_is_mended_starts_at_the_next_call(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        app = make_app(BROKEN["an import that raises"][0])
        pool = await start_pool()
        with pytest.raises(AppStartFailed):
            await lease(pool, app)
        (app.directory / "app.py").write_text(OBEDIENT)
        assert (await (await lease(pool, app)).call())["calls"] == 1


class PoolLeasing(PoolFixtures):
    """Leases: fresh, whole, and nobody else's."""

    async def test_a_leased_worker_is_fresh_and_keeps_its_state(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        first, second = await leased.call(), await leased.call()
        assert (first["calls"], second["calls"]) == (1, 2)
        assert first["pid"] == second["pid"]

    async def test_nothing_crosses_from_one_lease_to_another(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        one, two = await lease(pool, app), await lease(pool, app)
        await one.call("keep", text="mine")
        assert (await one.call("kept"))["files"] == ["kept", "kept"]
        assert await two.call("kept") == {"state": {}, "files": [], "environment": None}
        places = [await leased.call("places") for leased in (one, two)]
        assert places[0]["cwd"] != places[1]["cwd"]
        assert places[0]["tmp"] != places[1]["tmp"]
        pool.end(one.worker)
        three = await lease(pool, app)
        assert await three.call("kept") == {"state": {}, "files": [], "environment": None}
        assert len({(await leased.call())["pid"] for leased in (two, three)}) == 2

    async def test_a_call_with_another_session_or_epoch_is_refused_as_not_started(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        for session_id, epoch in ((leased.session_id, 6), ("sess_other", 7), ("", 0)):
            with pytest.raises(WorkerLeased) as caught:
                await Leased(leased.worker, session_id, epoch).call()
            assert caught.value.run_state is RunState.NOT_STARTED
        assert (await leased.call())["calls"] == 1

    async def test_a_ready_worker_can_be_asked_for_by_its_id(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(min_idle=2)
        pool.keep_ready([app])
        await until(lambda: len(pool.idle_workers(app)) == 2)
        wanted = pool.idle_workers(app)[1]
        assert pool.holder(wanted) == ""
        leased = await lease(pool, app, worker_id=wanted)
        assert leased.worker.id == wanted
        assert pool.holder(wanted) == leased.session_id
        assert wanted not in pool.idle_workers(app)

    async def test_a_worker_that_cannot_be_had_is_not_waited_for(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp
    ) -> None:
        pool = await start_pool(min_idle=1)
        other = make_app(name="other")
        pool.keep_ready([other])
        await until(lambda: pool.idle_workers(other))
        leased, shared = await lease(pool, app), await share(pool, app)
        with pytest.raises(WorkerLeased):
            await lease(pool, app, worker_id=leased.worker.id)
        for worker_id in ("wrk_none", shared.worker.id, pool.idle_workers(other)[0]):
            with pytest.raises(WorkerNotFound):
                await lease(pool, app, worker_id=worker_id)
        pool.end(leased.worker)
        await until(lambda: pool.holder(leased.worker.id) is None)
        with pytest.raises(WorkerNotFound):
            await lease(pool, app, worker_id=leased.worker.id)

    async def test_those_who_wait_are_served_in_the_order_in_which_they_came(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp
    ) -> None:
        pool = await start_pool(max_workers=1)
        other = make_app(name="other")
        holding = await lease(pool, app)
        served: list[int] = []

        async def wait(number: int, wanted: AppVersion) -> None:
            leased = await lease(pool, wanted)
            served.append(number)
            pool.end(leased.worker)

        waiting = [asyncio.create_task(wait(number, (app, other)[number % 2])) for number in range(5)]
        await settle()
        assert served == []
        pool.end(holding.worker)
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*waiting)
        assert served == [0, 1, 2, 3, 4]

    async def test_a_ready_worker_of_another_app_gives_way_to_one_who_waits(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp
    ) -> None:
        pool = await start_pool(max_workers=2, min_idle=2)
        pool.keep_ready([app])
        await until(lambda: len(pool.idle_workers(app)) == 2)
        async with asyncio.timeout(DEADLINE):
            assert (await (await lease(pool, make_app(name="other"))).call())["calls"] == 1

    async def test_a_shared_worker_that_nobody_uses_gives_way_to_one_who_waits(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_workers=1)
        pool.release_shared((await share(pool, app)).worker)
        async with asyncio.timeout(DEADLINE):
            assert (await (await lease(pool, app)).call())["calls"] == 1

    async def test_one_who_waited_in_vain_is_told_after_the_timeout_and_not_before(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(max_workers=1)
        await lease(pool, app)
        waiting = asyncio.create_task(lease(pool, app, timeout=30))
        await clock.advance(29.999)
        assert not waiting.done()
        await clock.advance(0.001)
        with pytest.raises(NoWorkerAvailable) as caught:
            await waiting
        assert caught.value.retry_after is not None
        assert caught.value.run_state is RunState.NOT_STARTED

    async def test_one_who_is_cancelled_while_waiting_leaves_nothing_behind(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_workers=1)
        holding = await lease(pool, app)
        first, second = (asyncio.create_task(lease(pool, app)) for _ in range(2))
        await settle()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        pool.end(holding.worker)
        async with asyncio.timeout(DEADLINE):
            assert (await (await second).call())["calls"] == 1

    async def test_kept_ready_are_as_many_as_asked_for_also_after_a_lease(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(min_idle=2)
        pool.keep_ready([app])
        await until(lambda: len(pool.idle_workers(app)) == 2)
        leased = await lease(pool, app)
        await until(lambda: len(pool.idle_workers(app)) == 2)
        assert leased.worker.id not in pool.idle_workers(app)

    async def test_a_ready_worker_that_dies_is_replaced_and_never_leased(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(min_idle=1)
        pool.keep_ready([app])
        await until(lambda: pool.idle_workers(app))
        (first,) = pool.idle_workers(app)
        leased = await lease(pool, app)
        await until(lambda: pool.idle_workers(app))
        (second,) = pool.idle_workers(app)
        assert leased.worker.id == first != second

    async def test_workers_of_a_version_that_is_no_longer_current_go_when_unused(
        self, start_pool: StartPool, app: AppVersion, make_app: MakeApp, clock: FakeClock
    ) -> None:
        pool = await start_pool(min_idle=1, shared_idle=100)
        pool.keep_ready([app])
        await until(lambda: pool.idle_workers(app))
        (old,) = pool.idle_workers(app)
        pool.keep_ready([make_app(name="newer")])
        await clock.advance(130)
        await until(lambda: pool.holder(old) is None)
        assert pool.idle_workers(app) == []


class PoolSharing(PoolFixtures):
    """Shared workers."""

    async def test_a_shared_worker_stays_warm_and_is_leased_to_nobody(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        first = await share(pool, app)
        assert (await first.call())["calls"] == 1
        pool.release_shared(first.worker)
        second = await share(pool, app)
        assert (await second.call())["calls"] == 2
        pool.release_shared(second.worker)
        leased = await lease(pool, app)
        assert leased.worker.id != first.worker.id
        assert (await leased.call())["calls"] == 1
        assert pool.holder(first.worker.id) == ""
        assert first.worker.id not in pool.idle_workers(app)

    async def test_each_shared_worker_has_as_many_calls_as_the_app_says(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool(max_shared=2)
        app = make_app(concurrency=2)
        places = [await share(pool, app) for _ in range(4)]
        ids = [place.worker.id for place in places]
        assert {id: ids.count(id) for id in ids} == dict.fromkeys(ids, 2)
        waiting = asyncio.create_task(share(pool, app))
        await settle()
        assert not waiting.done()
        pool.release_shared(places[3].worker)
        assert (await waiting).worker is places[3].worker

    async def test_one_who_waited_in_vain_for_a_place_is_told_after_the_timeout(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(max_shared=1)
        await share(pool, app)
        waiting = asyncio.create_task(share(pool, app, timeout=5))
        await clock.advance(4.999)
        assert not waiting.done()
        await clock.advance(0.001)
        with pytest.raises(NoWorkerAvailable):
            await waiting

    async def test_one_who_is_cancelled_while_waiting_for_a_place_takes_none(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        first, second = (asyncio.create_task(share(pool, app)) for _ in range(2))
        await settle()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        pool.release_shared(place.worker)
        assert (await second).worker is place.worker

    async def test_a_place_given_to_one_who_is_cancelled_at_that_moment_goes_to_the_next(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        first, second = (asyncio.create_task(share(pool, app)) for _ in range(2))
        await settle()
        pool.release_shared(place.worker)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        async with asyncio.timeout(DEADLINE):
            assert (await second).worker is place.worker

    async def test_a_shared_worker_that_dies_is_replaced_also_for_those_who_wait(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool(max_shared=1)
        place = await share(pool, app)
        waiting = asyncio.create_task(share(pool, app))
        await settle()
        dying = place.begin("die", signal=9)
        dying.when_done(lambda: pool.release_shared(place.worker))
        with pytest.raises(WorkerLost):
            await answer(dying)
        async with asyncio.timeout(DEADLINE):
            replaced = await waiting
        assert (await replaced.call())["calls"] == 1

    async def test_shared_workers_end_for_want_of_use(
        self, start_pool: StartPool, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = await start_pool(shared_idle=100)
        idle, busy = await share(pool, app), await share(pool, app)
        pool.release_shared(idle.worker)
        await clock.advance(90)
        assert pool.holder(idle.worker.id) == ""
        await clock.advance(60)
        await until(lambda: pool.holder(idle.worker.id) is None)
        assert pool.holder(busy.worker.id) == ""


class PoolCalling(PoolFixtures):
    """Calls, and workers that die under them."""

    async def test_calls_fail_as_the_contract_says_and_the_worker_lives_on(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        with pytest.raises(AppError) as caught:
            await leased.call("fail", text="oh")
        assert (caught.value.run_state, caught.value.metadata["exceptionType"]) == (RunState.COMPLETED, "ValueError")
        with pytest.raises(FunctionNotFound) as missing:
            await leased.call("nothing")
        assert missing.value.run_state is RunState.NOT_STARTED
        for bad in (b"", b"[1]", b"{", b"\xff"):
            call = leased.worker.call(WorkerCall("run", bad, False, leased.session_id, 7))
            if not bad:
                await answer(call)
                continue
            with pytest.raises(InvalidRequest) as malformed:
                await answer(call)
            assert malformed.value.run_state is RunState.NOT_STARTED
        assert (await leased.call())["calls"] == 2

    async def test_a_coroutine_that_is_cancelled_sees_it_and_the_call_is_done(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("hold", gate=gate.path, word="w")
        await gate.arrival()
        done = asyncio.Event()
        call.when_done(done.set)
        call.cancel()
        async with asyncio.timeout(DEADLINE):
            await done.wait()
        with pytest.raises(AppError):
            await call.reply
        assert (await leased.call("kept"))["state"] == {"cancelled": "w"}
        again = asyncio.Event()
        call.when_done(again.set)
        assert again.is_set()
        call.cancel()

    async def test_a_plain_function_that_is_cancelled_runs_to_its_end(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("block", gate=gate.path, word="w")
        await gate.arrival()
        call.cancel()
        gate.open("w")
        await asyncio.wait([call.reply], timeout=DEADLINE)
        assert (await leased.call("kept"))["state"] == {"blocked": True}

    async def test_an_abandoned_call_is_answered_at_once_and_done_when_the_function_is(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("block", gate=gate.path, word="w")
        await gate.arrival()
        done: list[str] = []
        call.when_done(lambda: done.append("done"))
        call.abandon(WorkerNotFound.of("x"))
        with pytest.raises(WorkerNotFound):
            await call.reply
        assert done == []
        gate.open("w")
        await leased.call()
        assert done == ["done"]

    async def test_an_answer_that_is_there_is_not_replaced_by_abandoning(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        call = (await lease(pool, app)).begin()
        output = await answer(call)
        call.abandon(WorkerNotFound.of("x"))
        assert await call.reply == output

    @pytest.mark.parametrize(
        ("how", "exit_"),
        [
            ({"signal": 9}, WorkerExit(signal=9)),
            ({"signal": 11}, WorkerExit(signal=11)),
            ({"code": 0}, WorkerExit(exit_code=0)),
            ({"code": 200}, WorkerExit(exit_code=200)),
            ({"exit": 3}, WorkerExit(exit_code=3)),
            ({"exit": "words"}, WorkerExit(exit_code=1)),
        ],
    )
    async def test_a_worker_that_dies_says_how(
        self, start_pool: StartPool, app: AppVersion, how: dict[str, Any], exit_: WorkerExit
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        told: list[WorkerExit] = []
        leased.worker.when_lost(told.append)
        with pytest.raises(WorkerLost) as caught:
            await leased.call("die", **how)
        assert (caught.value.run_state, caught.value.worker_exit) == (RunState.UNKNOWN, exit_)
        assert leased.worker.exit == exit_
        assert told == [exit_]
        leased.worker.when_lost(told.append)
        assert told == [exit_, exit_]
        with pytest.raises(WorkerLost) as later:
            await leased.call()
        assert later.value.run_state is RunState.NOT_STARTED
        pool.end(leased.worker)


class PoolEnding(PoolFixtures):
    """How workers end, and that nothing of them stays."""

    async def test_an_ended_worker_unloads_and_leaves_no_process_and_no_directory(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        pid = (await leased.call())["pid"]
        places = await leased.call("places")
        await leased.call("at_unload", gate=gate.path)
        pool.end(leased.worker)
        assert await gate.arrival() == "unload"
        assert exists(pid)
        pool.end(leased.worker)
        gate.open("unload")
        await until(lambda: pool.holder(leased.worker.id) is None)
        await until(lambda: not exists(pid))
        await until(lambda: not Path(places["cwd"]).parent.exists())
        assert not Path(places["tmp"]).exists()

    async def test_an_end_that_was_asked_for_is_no_loss(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        told: list[WorkerExit] = []
        leased.worker.when_lost(told.append)
        pool.end(leased.worker)
        await until(lambda: leased.worker.exit is not None)
        assert leased.worker.exit == WorkerExit(exit_code=0)
        assert told == []

    async def test_an_end_cancels_running_calls(self, start_pool: StartPool, app: AppVersion, gate: Gate) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        call = leased.begin("hold", gate=gate.path, word="w")
        await gate.arrival()
        pool.end(leased.worker)
        assert await gate.departure() == "w"
        await asyncio.wait([call.reply], timeout=DEADLINE)
        assert call.reply.exception() is not None

    @pytest.mark.parametrize(("stubborn", "killed_by"), [(False, 15), (True, 9)])
    async def test_a_worker_that_outlasts_its_grace_is_sent_sigterm_and_then_sigkill(
        self,
        start_pool: StartPool,
        app: AppVersion,
        gate: Gate,
        clock: FakeClock,
        stubborn: bool,
        killed_by: int,
    ) -> None:
        pool = await start_pool(end_grace=50)
        leased = await lease(pool, app)
        pid = (await leased.call())["pid"]
        await leased.call("at_unload", gate=gate.path, stubborn=stubborn)
        pool.end(leased.worker)
        await gate.arrival()
        await clock.advance(49.9)
        assert exists(pid)
        await clock.advance(0.1)
        if stubborn:
            await clock.advance(60)
        await until(lambda: leased.worker.exit is not None)
        assert leased.worker.exit == WorkerExit(signal=killed_by)
        await until(lambda: not exists(pid))

    @pytest.mark.parametrize("how", ["end", "die"])
    async def test_children_of_a_worker_go_with_it(self, start_pool: StartPool, app: AppVersion, how: str) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        child = (await leased.call("bear"))["pid"]
        assert exists(child)
        if how == "end":
            pool.end(leased.worker)
        else:
            with pytest.raises(WorkerLost):
                await leased.call("die", signal=9)
        await until(lambda: not exists(child))

    async def test_ending_a_worker_that_was_lost_is_fine(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        with pytest.raises(WorkerLost):
            await leased.call("die", signal=9)
        pool.end(leased.worker)
        await until(lambda: pool.holder(leased.worker.id) is None)

    async def test_closing_ends_leased_shared_and_ready_workers_and_unloads_them(
        self, start_pool: StartPool, app: AppVersion, gate: Gate
    ) -> None:
        pool = await start_pool(min_idle=1)
        pool.keep_ready([app])
        leased, shared = await lease(pool, app), await share(pool, app)
        pids = [(await one.call())["pid"] for one in (leased, shared)]
        await until(lambda: pool.idle_workers(app))
        await leased.call("at_unload", gate=gate.path)
        closing = asyncio.create_task(pool.close())
        assert await gate.arrival() == "unload"
        gate.open("unload")
        async with asyncio.timeout(DEADLINE):
            await closing
        assert not any(map(exists, pids))

    async def test_closing_tells_those_who_wait(self, start_pool: StartPool, app: AppVersion) -> None:
        pool = await start_pool(max_workers=1, max_shared=1)
        await lease(pool, app)
        waiting = [asyncio.create_task(ask(pool, app)) for ask in (lease, share, share)]
        await settle()
        async with asyncio.timeout(DEADLINE):
            await pool.close()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {NoWorkerAvailable}

    @pytest.mark.parametrize("where", ["import", "setup"])
    async def test_closing_does_not_wait_for_an_app_that_is_still_starting(
        self, start_pool: StartPool, make_app: MakeApp, gate: Gate, clock: FakeClock, where: str
    ) -> None:
        code = f"hold({gate.path!r}, 'start')"
        app = make_app(OBEDIENT + (f"\n{code}\n" if where == "import" else f"\n    def setup(self): {code}\n"))
        pool = await start_pool(end_grace=5)
        waiting = asyncio.create_task(lease(pool, app))
        await gate.arrival()
        closing = asyncio.create_task(pool.close())
        await clock.advance(10)
        async with asyncio.timeout(DEADLINE):
            await closing
            await asyncio.gather(waiting, return_exceptions=True)
        await gate.departure()


class WorkerPoolSuite(PoolStarting, PoolLeasing, PoolSharing, PoolCalling, PoolEnding):
    """Every promise of WorkerPool. Needs the fixture `start_pool`."""
