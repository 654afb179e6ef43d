"""Tests of session stores: what happens at one moment."""

import asyncio

import pytest

from gateway.model import EndReason, SessionStatus
from gateway.stores.base import SessionStore
from gateway.testing.store_harness import START, TIMEOUT, a_session, added, at


class StoreRacing:
    """Operations at one moment: each happens wholly before or wholly after the others."""

    async def test_of_admission_and_expiry_at_one_moment_exactly_one_happens(self, store: SessionStore) -> None:
        for _ in range(50):
            session = await added(store)
            admitted, expired = await asyncio.gather(
                store.admit(session.id, at(TIMEOUT - 0.001), START + 1000),
                store.expire_if_due(session.id, at(TIMEOUT)),
            )
            assert admitted is not None
            assert expired is not None
            final = await store.get(session.id)
            assert final is not None
            # Admitted and alive, or expired and never counted.
            assert (admitted.status, admitted.call_count) == (final.status, final.call_count)
            assert (final.status, final.call_count) in {(SessionStatus.ACTIVE, 1), (SessionStatus.EXPIRED, 0)}

    async def test_calls_admitted_at_one_moment_are_all_counted(self, store: SessionStore) -> None:
        session = await added(store)
        await asyncio.gather(*(store.admit(session.id, at(1), START + 100) for _ in range(20)))
        await asyncio.gather(*(store.finish(session.id, at(2), started=i % 2 == 0) for i in range(20)))
        final = await store.get(session.id)
        assert final is not None
        assert (final.call_count, final.in_flight) == (10, 0)

    async def test_calls_of_many_sessions_at_one_moment_do_not_mix(self, store: SessionStore) -> None:
        sessions = [await added(store, timeout=timeout) for timeout in range(1, 21)]
        for turn in range(3):
            now = at(turn / 100)
            admitted = await asyncio.gather(*(store.admit(each.id, now, START + 100) for each in sessions))
            assert [(each.timeout, each.call_count, each.in_flight) for each in admitted if each] == [
                (session.timeout, turn + 1, 1) for session in sessions
            ]
            finished = await asyncio.gather(*(store.finish(each.id, now, started=True) for each in sessions))
            assert [await store.get(session.id) for session in sessions] == finished

    async def test_calls_are_admitted_in_the_order_in_which_they_ask_and_return_in_it(
        self, store: SessionStore
    ) -> None:
        session = await added(store)
        returned = []

        async def admit(place: int) -> None:
            admitted = await store.admit(session.id, at(1), START + 100)
            assert admitted is not None
            returned.append((place, admitted.call_count - 1))

        for first in (0, 10, 20):
            await asyncio.gather(*(admit(place) for place in range(first, first + 10)))
        assert returned == [(place, place) for place in range(30)]

    async def test_one_that_leaves_before_its_turn_changes_nothing_for_itself_or_the_others(
        self, store: SessionStore
    ) -> None:
        session = await added(store)
        await asyncio.gather(*(store.admit(session.id, at(1), START + 100) for _ in range(2)))
        counted = 2
        tasks = [asyncio.ensure_future(store.admit(session.id, at(1), START + 100)) for _ in range(6)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        counted += sum(not isinstance(outcome, BaseException) for outcome in outcomes)
        final = await store.get(session.id)
        assert final is not None
        assert final.call_count == counted

    @pytest.mark.parametrize("turns", range(5))
    async def test_an_operation_that_is_cancelled_has_changed_nothing_or_returns(
        self, store: SessionStore, turns: int
    ) -> None:
        before, new = await added(store), a_session()
        returned: list[str] = []

        async def create() -> None:
            await store.create(new)
            returned.append(new.id)
            await asyncio.Event().wait()  # for good

        async def end() -> None:
            await store.end(before.id, EndReason.CALLER, at(1))
            returned.append(before.id)
            await asyncio.Event().wait()

        tasks = [asyncio.ensure_future(create()), asyncio.ensure_future(end())]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        ended = await store.get(before.id)
        assert ended is not None
        assert (await store.get(new.id) is not None) is (new.id in returned)
        assert (ended.status is SessionStatus.ENDED) is (before.id in returned)

    @pytest.mark.parametrize("turns", range(1, 5))
    async def test_the_end_of_a_call_is_put_on_record_whoever_is_cancelled(
        self, store: SessionStore, turns: int
    ) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 100)
        renewing = asyncio.ensure_future(store.renew(session.id, at(1)))
        task = asyncio.ensure_future(store.finish(session.id, at(5), started=False))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(renewing, task, return_exceptions=True)
        final = await store.get(session.id)
        assert final is not None
        assert (final.in_flight, final.call_count) == (0, 0)

    async def test_of_many_ends_at_one_moment_one_reason_stays(self, store: SessionStore) -> None:
        session = await added(store)
        reasons = [EndReason.CALLER, EndReason.WORKER_LOST, EndReason.FIRST_CALL_FAILED] * 5
        answers = await asyncio.gather(*(store.end(session.id, reason, at(1)) for reason in reasons))
        assert len({answer.end_reason for answer in answers if answer is not None}) == 1
