"""Tests of session stores: what is put back on record after a failure, and recovering itself.

How a store fails is its own; what can be asked of every one is that recovering does no harm.
"""

from dataclasses import replace

import pytest

from gateway.errors import WorkerExit
from gateway.model import EndReason, SessionStatus
from gateway.stores.base import SessionStore, StoreFailure, StoreProblem
from gateway.testing.store_harness import ANY, START, TIMEOUT, WALL, Reopen, a_session, added, at, walk


class StoreRestoring:
    """Records as a gateway has them in memory."""

    async def test_a_session_is_restored_as_it_is_given_whatever_the_record_says(self, store: SessionStore) -> None:
        known, lost = await added(store), a_session(call_count=3)
        ended = replace(
            known,
            status=SessionStatus.ENDED,
            end_reason=EndReason.WORKER_LOST,
            worker_exit=WorkerExit(signal=9),
            ended_at=WALL + 5,
            call_count=7,
        )
        await store.restore([ended, lost], 0.0)
        assert [await store.get(known.id), await store.get(lost.id)] == [ended, lost]
        assert await walk(store, ANY, 10) == [lost.id, known.id]

    async def test_a_session_that_is_restored_with_calls_in_flight_is_held(self, store: SessionStore) -> None:
        busy, idle = a_session(in_flight=2, call_count=5), a_session()
        await store.restore([busy, idle], START + 100)
        assert await store.due(at(99.9), 10) == [idle.id]
        assert set(await store.due(at(100), 10)) == {idle.id, busy.id}

    async def test_of_sessions_that_cannot_all_be_restored_none_is(self, store: SessionStore) -> None:
        known, unfit = await added(store), a_session(owner=None)
        with pytest.raises(Exception, match=r".+"):
            await store.restore([replace(known, call_count=9), unfit], 0.0)
        assert await store.get(known.id) == known
        assert await store.get(unfit.id) is None

    async def test_the_end_of_a_call_that_comes_late_does_not_shorten_the_window(self, store: SessionStore) -> None:
        session = await added(store, in_flight=1, call_count=1)
        await store.renew(session.id, at(30))
        finished = await store.finish(session.id, at(10), started=True)
        assert finished is not None
        assert (finished.deadline, finished.expires_at) == (START + 30 + TIMEOUT, WALL + 30 + TIMEOUT)


class StoreRecovering:
    """Recovery where nothing is wrong."""

    async def test_inspecting_a_store_that_is_well_changes_nothing(self, store: SessionStore) -> None:
        session = await added(store)
        await store.inspect()
        assert await store.get(session.id) == session

    @pytest.mark.parametrize("problem", StoreProblem)
    async def test_recovering_a_store_that_is_well_keeps_what_is_on_record(
        self, store: SessionStore, reopen: Reopen, problem: StoreProblem
    ) -> None:
        active, ended = await added(store, hold_until=START + 100, in_flight=1), await added(store)
        await store.end(ended.id, EndReason.CALLER, at(1))
        before = [await store.get(session.id) for session in (active, ended)]
        await store.recover(StoreFailure(problem, "as the test says"))
        assert [await store.get(session.id) for session in (active, ended)] == before
        younger = await added(store)
        assert await walk(store, ANY, 1) == [younger.id, ended.id, active.id]
        assert await store.due(at(99.9), 10) == [younger.id]
        again = await reopen()
        assert [await again.get(session.id) for session in (active, ended)] == before
