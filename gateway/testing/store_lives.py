"""Tests of session stores: how sessions live and end."""

# tests compare with plain numbers

from dataclasses import replace

import pytest

from gateway.errors import WorkerExit
from gateway.model import EndReason, SessionStatus
from gateway.stores.base import SessionStore
from gateway.testing.store_harness import ABSENT, ANY, START, TIMEOUT, WALL, added, at


class StoreAdmitting:
    """Admission of calls, or expiry."""

    async def test_an_active_session_admits_a_call_which_is_counted_held_and_slides_the_window(
        self, store: SessionStore
    ) -> None:
        session = await added(store)
        admitted = await store.admit(session.id, at(30), START + 200)
        assert admitted == replace(
            session,
            deadline=START + 90,
            expires_at=WALL + 90,
            last_call_at=WALL + 30,
            call_count=1,
            in_flight=1,
        )
        assert await store.get(session.id) == admitted
        assert await store.due(at(199.9), 10) == []

    async def test_just_before_the_deadline_a_call_is_admitted(self, store: SessionStore) -> None:
        session = await added(store)
        admitted = await store.admit(session.id, at(TIMEOUT - 0.001), START + 200)
        assert admitted is not None
        assert (admitted.status, admitted.call_count) == (SessionStatus.ACTIVE, 1)

    async def test_at_the_deadline_the_session_expires_instead(self, store: SessionStore) -> None:
        session = await added(store)
        expired = await store.admit(session.id, at(TIMEOUT), START + 200)
        assert expired == replace(
            session,
            status=SessionStatus.EXPIRED,
            end_reason=EndReason.IDLE_TIMEOUT,
            ended_at=WALL + TIMEOUT,
        )
        assert await store.get(session.id) == expired

    async def test_a_finished_session_is_not_changed_by_a_call(self, store: SessionStore) -> None:
        for finish in (EndReason.CALLER, EndReason.IDLE_TIMEOUT):
            session = await added(store)
            finished = await store.end(session.id, finish, at(1))
            assert await store.admit(session.id, at(2), START + 10) == finished
            assert await store.renew(session.id, at(2)) == finished
            assert await store.get(session.id) == finished

    async def test_a_call_in_flight_keeps_a_session_from_being_due_and_lets_further_calls_in(
        self, store: SessionStore
    ) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 500)
        assert await store.expire_if_due(session.id, at(300)) == await store.get(session.id)
        admitted = await store.admit(session.id, at(300), START + 500)
        assert admitted is not None
        assert (admitted.status, admitted.in_flight, admitted.deadline) == (SessionStatus.ACTIVE, 2, START + 360)

    async def test_a_hold_that_nobody_renews_lapses(self, store: SessionStore) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 70)
        assert await store.due(at(69.9), 10) == []
        expired = await store.expire_if_due(session.id, at(70))
        assert expired is not None
        assert expired.status is SessionStatus.EXPIRED

    async def test_a_lapsed_hold_does_not_expire_a_session_before_its_deadline(self, store: SessionStore) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 10)
        still = await store.expire_if_due(session.id, at(TIMEOUT - 0.1))
        assert still is not None
        assert still.status is SessionStatus.ACTIVE

    async def test_a_hold_is_prolonged_for_calls_in_flight_and_passes_over_the_rest(self, store: SessionStore) -> None:
        busy, idle = await added(store), await added(store)
        await store.admit(busy.id, at(0), START + 70)
        await store.hold([busy.id, idle.id, ABSENT], START + 500)
        assert await store.due(at(400), 10) == [idle.id]
        assert set(await store.due(at(500), 10)) == {idle.id, busy.id}


class StoreFinishing:
    """The ends of calls."""

    async def test_the_end_of_a_call_slides_the_window_and_lets_go(self, store: SessionStore) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 1000)
        finished = await store.finish(session.id, at(100), started=True)
        assert finished is not None
        assert (finished.deadline, finished.expires_at) == (START + 160, WALL + 160)
        assert (finished.in_flight, finished.call_count, finished.last_call_at) == (0, 1, WALL)
        assert await store.due(at(160), 10) == [session.id]

    async def test_a_session_with_another_call_in_flight_stays_held(self, store: SessionStore) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 1000)
        await store.admit(session.id, at(1), START + 1000)
        await store.finish(session.id, at(2), started=True)
        assert await store.due(at(900), 10) == []

    async def test_a_call_that_was_not_started_is_taken_back_from_the_count(self, store: SessionStore) -> None:
        session = await added(store, call_count=3)
        await store.admit(session.id, at(0), START + 1000)
        finished = await store.finish(session.id, at(1), started=False)
        assert finished is not None
        assert (finished.call_count, finished.in_flight) == (3, 0)

    @pytest.mark.parametrize("started", [True, False])
    async def test_in_a_finished_session_a_call_ends_without_sliding_and_stays_counted(
        self, store: SessionStore, started: bool
    ) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 1000)
        ended = await store.end(session.id, EndReason.CALLER, at(10))
        assert ended is not None
        finished = await store.finish(session.id, at(20), started=started)
        assert finished == replace(ended, in_flight=0)

    async def test_what_a_finished_call_leaves_is_what_every_operation_sees(self, store: SessionStore) -> None:
        for elapsed in (0.001, 10):  # a call that was over at once, and a long one
            session = await added(store)
            await store.admit(session.id, at(0), START + 1000)
            first = await store.finish(session.id, at(elapsed), started=True)
            assert await store.get(session.id) == first
            await store.admit(session.id, at(11), START + 1000)
            finished = await store.finish(session.id, at(11 + elapsed), started=True)
            assert list((await store.page(ANY, 1)).sessions) == [finished]
            await store.admit(session.id, at(30), START + 1000)
            await store.finish(session.id, at(30 + elapsed), started=True)
            assert await store.due(at(90 + elapsed - 0.0001), 10) == []
            assert await store.due(at(90 + elapsed + 0.0001), 10) == [session.id]
            await store.admit(session.id, at(40), START + 1000)
            last = await store.finish(session.id, at(40 + elapsed), started=True)
            assert last is not None
            ended = await store.end(session.id, EndReason.CALLER, at(60))
            assert ended is not None
            assert ended == replace(last, status=ended.status, end_reason=ended.end_reason, ended_at=WALL + 60)
            page = await store.events(ANY, await store.position(), 1)
            assert list(page.events) == []
            assert await store.get(session.id) == ended

    async def test_the_end_of_a_short_call_is_there_when_its_session_is_renewed_adopted_or_expired(
        self, store: SessionStore
    ) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 1000)
        await store.finish(session.id, at(0.01), started=True)
        renewed = await store.renew(session.id, at(1))
        assert renewed is not None
        assert (renewed.in_flight, renewed.deadline) == (0, START + 61)
        await store.admit(session.id, at(2), START + 1000)
        finished = await store.finish(session.id, at(2.01), started=True)
        assert await store.expire_if_due(session.id, at(3)) == finished
        await store.admit(session.id, at(4), START + 1000)
        finished = await store.finish(session.id, at(4.01), started=True)
        adopted = await store.adopt(session.id, in_flight=0, call_count=None, hold_until=START)
        assert adopted == finished
        await store.admit(session.id, at(5), START + 1000)
        await store.finish(session.id, at(5.01), started=True)
        expired = await store.expire_if_due(session.id, at(65.01))
        assert expired is not None
        assert (expired.status, expired.in_flight, expired.call_count) == (SessionStatus.EXPIRED, 0, 4)

    async def test_ending_more_calls_than_there_are_never_counts_below_zero(self, store: SessionStore) -> None:
        session = await added(store)
        await store.finish(session.id, at(1), started=True)
        admitted = await store.admit(session.id, at(2), START + 1000)
        assert admitted is not None
        assert admitted.in_flight == 1


class StoreExpiring:
    """Renewal, and what becomes of the idle."""

    async def test_renewing_slides_the_window_without_a_call(self, store: SessionStore) -> None:
        session = await added(store)
        renewed = await store.renew(session.id, at(59.999))
        assert renewed is not None
        assert renewed == replace(session, deadline=START + 119.999, expires_at=renewed.expires_at)
        assert renewed.expires_at == pytest.approx(WALL + 119.999)

    async def test_renewing_a_due_session_expires_it(self, store: SessionStore) -> None:
        session = await added(store)
        renewed = await store.renew(session.id, at(TIMEOUT))
        assert renewed is not None
        assert (renewed.status, renewed.end_reason) == (SessionStatus.EXPIRED, EndReason.IDLE_TIMEOUT)

    async def test_getting_never_extends_a_life_and_never_notices_that_it_is_over(self, store: SessionStore) -> None:
        session = await added(store)
        assert await store.get(session.id) == session
        assert await store.due(at(TIMEOUT + 1000), 10) == [session.id]
        assert await store.get(session.id) == session

    @pytest.mark.parametrize("elapsed", [0, 30, 59.999])
    async def test_a_session_that_is_not_due_is_not_expired(self, store: SessionStore, elapsed: float) -> None:
        session = await added(store)
        assert await store.expire_if_due(session.id, at(elapsed)) == session

    async def test_expiring_says_when_and_why(self, store: SessionStore) -> None:
        session = await added(store)
        expired = await store.expire_if_due(session.id, at(75))
        assert expired is not None
        assert (expired.status, expired.end_reason) == (SessionStatus.EXPIRED, EndReason.IDLE_TIMEOUT)
        assert (expired.ended_at, expired.expires_at) == (WALL + 75, WALL + TIMEOUT)
        assert await store.expire_if_due(session.id, at(100)) == expired

    async def test_of_many_sessions_those_that_are_due_expire_in_one_step_and_all_are_returned(
        self, store: SessionStore
    ) -> None:
        due, younger, held, ended = [await added(store, deadline=START + delay) for delay in (10, 30, 10, 10)]
        await store.admit(held.id, at(5), START + 1000)
        over = await store.end(ended.id, EndReason.CALLER, at(6))
        ids = [due.id, ABSENT, younger.id, held.id, ended.id]
        found = {session.id: session for session in await store.expire_due(ids, at(20))}
        expired = replace(due, status=SessionStatus.EXPIRED, end_reason=EndReason.IDLE_TIMEOUT, ended_at=WALL + 20)
        assert found == {due.id: expired, younger.id: younger, held.id: await store.get(held.id), ended.id: over}
        assert await store.get(due.id) == expired
        assert await store.expire_due([], at(20)) == []

    async def test_of_many_sessions_those_of_the_owner_that_are_active_and_not_due_are_renewed(
        self, store: SessionStore
    ) -> None:
        long, short = await added(store, timeout=300), await added(store)
        foreign, ended, due = await added(store, owner="another"), await added(store), await added(store)
        await store.renew(long.id, at(30))
        await store.renew(short.id, at(30))
        over = await store.end(ended.id, EndReason.CALLER, at(30))
        asked = [long.id, ABSENT, foreign.id, ended.id, due.id, short.id]
        assert set(await store.renew_many(asked, "owner", at(61))) == {long.id, short.id}
        renewed = [await store.get(session.id) for session in (long, short)]
        assert renewed == [
            replace(long, deadline=START + 361, expires_at=WALL + 361),
            replace(short, deadline=START + 121, expires_at=WALL + 121),
        ]
        assert [await store.get(session.id) for session in (foreign, ended, due)] == [foreign, over, due]
        assert set(await store.renew_many([long.id, short.id], "owner", at(62))) == {long.id, short.id}
        assert set(await store.renew_many([], "owner", at(62))) == set()

    async def test_a_session_that_is_not_renewed_with_others_is_not_taken_for_renewed_by_an_earlier_renewal(
        self, store: SessionStore
    ) -> None:
        ended = await added(store)
        await store.renew(ended.id, at(20))
        await store.end(ended.id, EndReason.CALLER, at(20))
        foreign = await added(store, owner="another")
        await store.renew(foreign.id, at(20))
        assert list(await store.renew_many([ended.id, foreign.id], "owner", at(20))) == []

    async def test_the_due_come_longest_overdue_first_and_no_more_than_asked_for(self, store: SessionStore) -> None:
        sessions = [await added(store, deadline=START + delay) for delay in (30, 10, 40, 20)]
        by_deadline = [sessions[i].id for i in (1, 3, 0, 2)]
        assert await store.due(at(100), 10) == by_deadline
        assert await store.due(at(100), 2) == by_deadline[:2]
        assert await store.due(at(20), 10) == by_deadline[:2]
        assert await store.due(at(5), 10) == []

    async def test_asking_for_the_due_changes_nothing(self, store: SessionStore) -> None:
        session = await added(store)
        assert await store.due(at(100), 10) == await store.due(at(100), 10) == [session.id]
        assert await store.get(session.id) == session

    async def test_finished_sessions_are_not_due(self, store: SessionStore) -> None:
        session = await added(store)
        await store.end(session.id, EndReason.CALLER, at(1))
        assert await store.due(at(1000), 10) == []


class StoreEnding:
    """Ends, each for one reason."""

    @pytest.mark.parametrize("reason", [reason for reason in EndReason if reason is not EndReason.IDLE_TIMEOUT])
    async def test_an_active_session_ends_for_the_reason(self, store: SessionStore, reason: EndReason) -> None:
        session = await added(store)
        ended = await store.end(session.id, reason, at(5))
        assert ended is not None
        assert (ended.status, ended.end_reason, ended.ended_at) == (SessionStatus.ENDED, reason, WALL + 5)
        assert (ended.deadline, ended.expires_at) == (session.deadline, session.expires_at)
        assert await store.get(session.id) == ended

    async def test_a_finished_session_keeps_its_own_reason(self, store: SessionStore) -> None:
        session = await added(store)
        ended = await store.end(session.id, EndReason.CALLER, at(5))
        assert await store.end(session.id, EndReason.WORKER_LOST, at(6), WorkerExit(signal=9)) == ended
        assert await store.expire_if_due(session.id, at(1000)) == ended

    async def test_an_expired_session_cannot_be_ended(self, store: SessionStore) -> None:
        session = await added(store)
        expired = await store.expire_if_due(session.id, at(TIMEOUT))
        assert await store.end(session.id, EndReason.CALLER, at(100)) == expired

    async def test_a_session_with_calls_in_flight_can_be_ended(self, store: SessionStore) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 1000)
        ended = await store.end(session.id, EndReason.CALLER, at(1))
        assert ended is not None
        assert ended.status is SessionStatus.ENDED

    @pytest.mark.parametrize(("running", "count"), [(0, 1), (2, 3), (None, 4)])
    async def test_calls_in_flight_that_were_not_started_are_taken_back_with_the_end(
        self, store: SessionStore, running: int | None, count: int
    ) -> None:
        session = await added(store)
        for _ in range(4):
            await store.admit(session.id, at(0), START + 1000)
        await store.finish(session.id, at(1), started=True)
        ended = await store.end(session.id, EndReason.CALLER, at(10), running=running)
        assert ended is not None
        assert ended.call_count == count

    @pytest.mark.parametrize("exit_", [WorkerExit(exit_code=0), WorkerExit(exit_code=255), WorkerExit(signal=9)])
    async def test_how_a_worker_was_lost_is_kept(self, store: SessionStore, exit_: WorkerExit) -> None:
        session = await added(store)
        await store.end(session.id, EndReason.WORKER_LOST, at(1), exit_)
        found = await store.get(session.id)
        assert found is not None
        assert found.worker_exit == exit_


class StoreAdopting:
    """What a gateway that died left in flight."""

    async def test_the_calls_that_are_really_in_flight_replace_those_of_a_gateway_that_died(
        self, store: SessionStore
    ) -> None:
        session = await added(store, hold_until=START + 70, in_flight=3, call_count=5)
        adopted = await store.adopt(session.id, in_flight=1, call_count=4, hold_until=START + 200)
        assert adopted == replace(session, in_flight=1, call_count=4)
        assert await store.due(at(199), 10) == []
        finished = await store.finish(session.id, at(200), started=True)
        assert finished is not None
        assert (finished.in_flight, finished.deadline) == (0, START + 260)

    async def test_without_a_count_the_one_on_record_stays(self, store: SessionStore) -> None:
        session = await added(store, in_flight=1, call_count=5)
        adopted = await store.adopt(session.id, in_flight=0, call_count=None, hold_until=START)
        assert adopted == replace(session, in_flight=0)
        assert await store.due(at(TIMEOUT), 10) == [session.id]

    async def test_a_finished_session_cannot_be_adopted(self, store: SessionStore) -> None:
        session = await added(store, in_flight=1)
        ended = await store.end(session.id, EndReason.CALLER, at(1))
        await store.adopt(session.id, in_flight=5, call_count=9, hold_until=START + 100)
        assert await store.get(session.id) == ended
        assert await store.adopt(ABSENT, in_flight=1, call_count=1, hold_until=START) is None
