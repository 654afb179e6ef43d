"""What the manager answers, seen without a transport: on a machine in memory and in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.apps.names import AppQuery
from gateway.apps.registry import AppRegistry
from gateway.config import SessionSettings, Settings
from gateway.errors import GatewayError, RunState, SessionBusy
from gateway.model import EndReason
from gateway.sessions.manager import SessionManager
from gateway.sessions.requests import Caller, RunAnswer, RunRequest
from gateway.stores.base import SessionFilter, SessionStore, StoreFailure, StoreProblem
from gateway.stores.guarded import GuardedStore
from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock, settle
from gateway.testing.memory_machine import MemoryMachine
from gateway.testing.memory_pool import MemoryPool
from gateway.testing.waiting import until
from gateway.worker_settings import WorkerSettings
from tests.unit.suspending import suspending

ME = Caller("me")


class Waiting:
    """An app whose calls wait until the test lets all of them go on."""

    open = asyncio.Event()

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, input: dict[str, bool]) -> dict[str, int]:
        self.calls += 1
        if input.get("wait"):
            await Waiting.open.wait()
        return {"calls": self.calls}


class Served:
    """A manager with all that it needs, and calls to it."""

    def __init__(self, directory: Path, around: Callable[[SessionStore], SessionStore] = lambda store: store) -> None:
        Waiting.open = asyncio.Event()
        (directory / "app.py").touch()
        self.clock = FakeClock()
        self.store = around(SqliteStore(directory / "sessions.db"))
        settings = Settings(workers=WorkerSettings(max_workers=1, min_idle=0), sessions=SessionSettings(queue_size=5))
        self.pool = MemoryPool(settings.workers, MemoryMachine(self.clock, {"app": Waiting}), self.clock)
        registry = AppRegistry(directory / "apps", {"app": directory})
        self.manager = SessionManager(self.store, self.pool, registry, self.clock, settings)

    def send(self, session: str) -> "Task":
        """Send a call, without letting anything run yet."""
        return asyncio.ensure_future(self.manager.run(RunRequest(AppQuery("app"), "", b"{}", session=session), ME))

    async def begin(self, session: str, *, wait: bool = False, rid: str = "", until: float | None = None) -> "Task":
        """Send a call, and let it come as far as it can."""
        request = RunRequest(AppQuery("app"), "", json.dumps({"wait": wait}).encode(), session=session, request_id=rid)
        deadline = None if until is None else self.clock.now().monotonic + until
        task = asyncio.ensure_future(self.manager.run(request, replace(ME, deadline=deadline)))
        await settle()
        return task


Task = asyncio.Task[RunAnswer]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path)
    await served.store.open()
    await served.manager.start()
    yield served
    await served.manager.close(end_sessions=True)
    await served.pool.close()
    await served.store.close()


async def open_session(served: Served) -> str:
    answer = await (await served.begin("new"))
    assert answer.session is not None
    return answer.session.id


async def test_a_kept_answer_has_the_session_as_it_is_by_now(served: Served) -> None:
    session_id = await open_session(served)
    first = await (await served.begin(session_id, rid="r"))
    await served.clock.advance(7)
    await served.manager.end(session_id, ME)
    again = await (await served.begin(session_id, rid="r"))
    assert (again.call_id, again.output) == (first.call_id, first.output)
    assert again.session is not None
    assert again.session.end_reason is EndReason.CALLER


async def test_a_kept_answer_of_a_session_that_is_no_longer_on_record_is_as_it_was(served: Served) -> None:
    session_id = await open_session(served)
    first = await (await served.begin(session_id, rid="r"))
    await served.manager.end(session_id, ME)
    await served.store.purge(served.clock.now().wall + 1)
    assert await (await served.begin(session_id, rid="r")) == first


async def test_a_repeat_waits_for_its_turn_until_its_own_deadline(served: Served) -> None:
    session_id = await open_session(served)
    running = await served.begin(session_id, wait=True)
    hasty = await served.begin(session_id, rid="r", until=5)
    patient = await served.begin(session_id, rid="r", until=50)
    await served.clock.advance(10)
    with pytest.raises(SessionBusy):
        await hasty
    assert not patient.done()
    Waiting.open.set()
    await running
    assert json.loads((await patient).output) == {"calls": 3}


@pytest.mark.parametrize("session", ["new", ""])
async def test_who_waits_for_a_worker_of_a_session_that_a_stop_ends_runs_nothing(served: Served, session: str) -> None:
    opening = await served.begin("new", wait=True)
    waiting = await served.begin(session)
    await served.manager.close(end_sessions=False)
    await settle()
    await served.pool.close(keep_leased=True)
    for call in (opening, waiting):
        with pytest.raises(GatewayError):
            await call
    records = (await served.store.page(SessionFilter(), 10)).sessions
    assert [record.end_reason for record in records] == [EndReason.FIRST_CALL_FAILED]


async def test_calls_that_come_in_one_moment_get_their_turns_in_the_order_of_arrival(served: Served) -> None:
    session = (await (await served.begin("new"))).session
    assert session is not None
    for _ in range(3):  # by then the store knows that it has many callers
        calls = [served.send(session.id) for _ in range(5)]
        answers = [json.loads((await call).output)["calls"] for call in calls]
        assert answers == list(range(answers[0], answers[0] + 5))


async def test_of_calls_that_come_in_one_moment_no_more_wait_than_the_queue_has_room_for(served: Served) -> None:
    session = (await (await served.begin("new"))).session
    assert session is not None
    for _ in range(2):
        calls = [served.send(session.id) for _ in range(8)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RunAnswer] * 6 + [SessionBusy] * 2
    assert (await served.manager.get(session.id, ME)).call_count == 13


async def test_calls_that_come_in_the_moment_of_the_end_are_not_counted_and_not_started(served: Served) -> None:
    for turns in range(6):
        session = (await (await served.begin("new"))).session
        assert session is not None
        await asyncio.gather(*(served.send(session.id) for _ in range(2)))
        calls = [served.send(session.id) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = await served.manager.end(session.id, ME)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await settle()
        ran = sum(isinstance(outcome, RunAnswer) for outcome in outcomes)
        started = [o for o in outcomes if isinstance(o, GatewayError) and o.run_state is not RunState.NOT_STARTED]
        final = await served.manager.get(session.id, ME)
        assert final.call_count == 3 + ran + len(started)
        assert final == replace(ended, in_flight=0)


async def test_a_call_whose_turn_comes_in_the_moment_of_the_end_is_not_started(served: Served) -> None:
    for turns in range(12):
        session = (await (await served.begin("new"))).session
        assert session is not None
        Waiting.open.clear()
        running = await served.begin(session.id, wait=True)
        queued = [await served.begin(session.id) for _ in range(2)]
        Waiting.open.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        over = served.manager._lifecycle.live[session.id]
        ended = await served.manager.end(session.id, ME)
        given = len(over.calls)
        outcomes = await asyncio.gather(running, *queued, return_exceptions=True)
        await settle()
        assert len(over.calls) <= given
        told = [isinstance(one, RunAnswer) or getattr(one, "run_state", None) for one in outcomes]
        assert told.count(RunState.NOT_STARTED) == 4 - ended.call_count
        assert await served.manager.get(session.id, ME) == replace(ended, in_flight=0)


async def test_callers_that_leave_while_they_are_admitted_leave_nothing_behind(served: Served) -> None:
    session = (await (await served.begin("new"))).session
    assert session is not None
    await asyncio.gather(*(served.send(session.id) for _ in range(2)))
    for turns in range(6):
        calls = [served.send(session.id) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls[1:]:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(outcomes[0], RunAnswer)
        await settle()
        record = await served.manager.get(session.id, ME)
        assert (record.in_flight, served.manager._lifecycle.live[session.id].in_flight) == (0, 0)
    assert json.loads((await served.send(session.id)).output)["calls"] == record.call_count + 1


async def test_a_call_that_ends_after_its_session_was_taken_over_tells_no_window_that_nobody_will_keep(
    tmp_path: Path,
) -> None:
    inside, held = suspending(SqliteStore(tmp_path / "sessions.db"))
    guarded = GuardedStore(inside, FakeClock())
    served = Served(tmp_path, lambda _: guarded)
    guarded.on_fenced = lambda: served.manager.drop(lambda session_id: True)
    await guarded.open()
    await served.manager.start()
    opening = await served.begin("new", wait=True)
    await until(lambda: served.manager._lifecycle.live)
    (session_id,) = served.manager._lifecycle.live
    left = await guarded.get(session_id)
    assert left is not None
    end = held.stop("finish", StoreFailure(StoreProblem.FENCED, "for this test"))
    await served.clock.advance(30.0)
    Waiting.open.set()
    await end.happened.wait()
    end.go_on.set()
    answer = await opening
    assert answer.session is not None
    assert (answer.session.deadline, answer.session.expires_at) == (left.deadline, left.expires_at)
    await until(lambda: guarded.available)
    await served.manager.close(end_sessions=True)
    await served.pool.close()
    await guarded.close()
