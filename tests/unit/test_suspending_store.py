"""What happens to a session while the store is at work on it: with a store over a network, anything may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import GatewayDraining, RunState, SessionEnded, StoreUnavailable
from gateway.model import EndReason, SessionStatus
from gateway.stores.base import SessionFilter, SessionStore
from gateway.stores.guarded import unavailable
from gateway.testing.clock import settle
from tests.unit.suspending import SuspendingStore, suspending
from tests.unit.test_manager import ME, Served, Waiting, open_session


class Slow(Served):
    """A manager whose store suspends."""

    slow: SuspendingStore

    def __init__(self, directory: Path) -> None:
        def around(store: SessionStore) -> SessionStore:
            store, self.slow = suspending(store)
            return store

        super().__init__(directory, around)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Slow]:
    served = Slow(tmp_path)
    await served.store.open()
    await served.manager.start()
    yield served
    await served.manager.close(end_sessions=True)
    await served.pool.close()
    await served.store.close()


async def outcome(task: "asyncio.Task[object]") -> object:
    return (await asyncio.gather(task, return_exceptions=True))[0]


async def test_no_call_begins_while_the_end_of_its_session_is_put_on_record(served: Slow) -> None:
    session_id = await open_session(served)
    running = await served.begin(session_id, wait=True)
    waiting = await served.begin(session_id)
    end = served.slow.stop("end")
    ending = asyncio.ensure_future(served.manager.end(session_id, ME))
    await end.happened.wait()
    Waiting.open.set()
    await running
    coming = await served.begin(session_id)
    await settle()
    end.go_on.set()
    ended = await ending
    for task in (waiting, coming):
        error = await outcome(task)
        assert isinstance(error, SessionEnded)
        assert error.run_state is RunState.NOT_STARTED
    assert ended.call_count == 2
    assert (await served.manager.get(session_id, ME)).call_count == 2


async def test_calls_go_on_when_an_end_could_not_be_put_on_record(served: Slow) -> None:
    session_id = await open_session(served)
    running = await served.begin(session_id, wait=True)
    waiting = [await served.begin(session_id) for _ in range(2)]
    end = served.slow.stop("end", unavailable())
    ending = asyncio.ensure_future(served.manager.end(session_id, ME))
    await end.happened.wait()
    Waiting.open.set()
    await running
    await settle()
    assert not any(task.done() for task in waiting)
    end.go_on.set()
    assert isinstance(await outcome(ending), StoreUnavailable)
    answers = [(await task).session for task in waiting]
    assert [answer.call_count for answer in answers if answer] == [4, 4]


async def test_a_session_that_is_just_being_opened_is_not_taken_for_one_without_a_worker(served: Slow) -> None:
    create, get = served.slow.stop("create"), served.slow.stop("get")
    opening = await served.begin("new")
    await create.happened.wait()
    (listed,) = (await served.manager.list(SessionFilter(owner="me"), 10, "", ME)).sessions
    calling = await served.begin(listed.id)
    await get.happened.wait()
    create.go_on.set()
    await opening
    get.go_on.set()
    answer = await calling
    assert answer.session is not None
    assert (answer.session.status, answer.session.call_count) == (SessionStatus.ACTIVE, 2)


async def test_a_session_that_ends_while_it_is_kept_alive_is_told_as_ended(served: Slow) -> None:
    session_id = await open_session(served)
    renewing = served.slow.stop("renew_many")
    stream = served.manager.keepalive_stream(ME)
    await stream.renew([session_id])
    await renewing.happened.wait()
    await served.manager.end(session_id, ME)
    renewing.go_on.set()
    (answer,) = (await anext(stream)).outcomes
    assert isinstance(answer.outcome, SessionEnded)
    stream.close()


async def test_a_session_that_is_put_on_record_while_the_gateway_closes_is_ended(served: Slow) -> None:
    create = served.slow.stop("create")
    opening = await served.begin("new")
    await create.happened.wait()
    closing = asyncio.ensure_future(served.manager.close(end_sessions=True))
    await settle()
    create.go_on.set()
    error = await outcome(opening)
    await closing
    assert isinstance(error, GatewayDraining)
    (left,) = (await served.store.page(SessionFilter(owner="me"), 10)).sessions
    assert (left.status, left.end_reason) == (SessionStatus.ENDED, EndReason.FIRST_CALL_FAILED)
