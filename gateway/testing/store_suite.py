"""The suite by which a session store proves itself: each sentence of `gateway.stores.base` is a test.

Subclass SessionStoreSuite in a test module and give it a fixture `store`, a fresh and open store for each test, and a
fixture `reopen`, which closes that store and returns one that was opened on what it left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.clock import Instant
from gateway.errors import WorkerExit
from gateway.model import AppRef, EndReason, Session, SessionStatus, new_session_id
from gateway.stores.base import InvalidCursor, SessionFilter, SessionStore

Reopen = Callable[[], Awaitable[SessionStore]]

TIMEOUT = 60
START = 1_000.0
WALL = 1_700_000_000.0
ABSENT = "sess_absent"
ANY = SessionFilter()


def at(elapsed: float) -> Instant:
    """Return the moment so many seconds after the start."""
    return Instant(START + elapsed, WALL + elapsed)


def a_session(**changes: object) -> Session:
    """Return an active session that begins at the start, with a fresh id and no call in flight."""
    session = Session(
        id=new_session_id(),
        owner="owner",
        app=AppRef("kv", "1"),
        worker_id="wrk_1",
        epoch=1,
        timeout=TIMEOUT,
        created_at=WALL,
        expires_at=WALL + TIMEOUT,
        deadline=START + TIMEOUT,
    )
    return replace(session, **changes)  # type: ignore[arg-type]


async def added(store: SessionStore, hold_until: float = 0.0, **changes: object) -> Session:
    """Create a session in the store and return it."""
    session = a_session(**changes)
    await store.create(session, hold_until)
    return session


async def walk(store: SessionStore, filter: SessionFilter, limit: int) -> list[str]:
    """Return the ids on all pages, in order."""
    found, cursor = [], ""
    while True:
        page = await store.page(filter, limit, cursor)
        found += [session.id for session in page.sessions]
        if not page.next_cursor:
            return found
        cursor = page.next_cursor


class _Creating:
    async def test_a_session_comes_back_as_it_was_created(self, store: SessionStore) -> None:
        session = await added(
            store,
            owner="key:ü",
            app=AppRef("acme/kv", "1.0-rc"),
            epoch=2**40,
            timeout=3600,
            last_call_at=WALL + 0.123456,
            call_count=2**33,
            in_flight=1,
        )
        assert await store.get(session.id) == session

    async def test_an_id_that_is_taken_is_a_value_error_and_changes_nothing(self, store: SessionStore) -> None:
        session = await added(store)
        with pytest.raises(ValueError, match=session.id):
            await store.create(replace(session, owner="another", call_count=7))
        assert await store.get(session.id) == session
        assert await walk(store, ANY, 10) == [session.id]

    async def test_the_id_of_a_finished_session_is_taken_too(self, store: SessionStore) -> None:
        session = await added(store)
        await store.end(session.id, EndReason.CALLER, at(1))
        with pytest.raises(ValueError, match=session.id):
            await store.create(session)

    async def test_a_session_is_created_with_its_calls_in_flight_held(self, store: SessionStore) -> None:
        session = await added(store, hold_until=START + 100, in_flight=1)
        assert await store.due(at(99.9), 10) == []
        assert await store.due(at(100), 10) == [session.id]

    async def test_what_is_returned_is_a_snapshot(self, store: SessionStore) -> None:
        session = await added(store)
        before = await store.get(session.id)
        await store.admit(session.id, at(1), START + 100)
        assert before == session

    async def test_an_id_that_is_not_there_is_none_and_changes_nothing(self, store: SessionStore) -> None:
        other = await added(store)
        now = at(1)
        assert await store.get(ABSENT) is None
        assert await store.admit(ABSENT, now, START + 10) is None
        assert await store.finish(ABSENT, now, started=True) is None
        assert await store.renew(ABSENT, now) is None
        assert await store.end(ABSENT, EndReason.CALLER, now) is None
        assert await store.expire_if_due(ABSENT, now) is None
        await store.hold([ABSENT], START + 10)
        assert await store.get(other.id) == other
        assert await walk(store, ANY, 10) == [other.id]


class _Admitting:
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


class _Finishing:
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

    @pytest.mark.parametrize(("started", "count"), [(True, 1), (False, 0)])
    async def test_in_a_finished_session_a_call_ends_without_sliding(
        self, store: SessionStore, started: bool, count: int
    ) -> None:
        session = await added(store)
        await store.admit(session.id, at(0), START + 1000)
        ended = await store.end(session.id, EndReason.CALLER, at(10))
        assert ended is not None
        finished = await store.finish(session.id, at(20), started=started)
        assert finished == replace(ended, in_flight=0, call_count=count)

    async def test_ending_more_calls_than_there_are_never_counts_below_zero(self, store: SessionStore) -> None:
        session = await added(store)
        await store.finish(session.id, at(1), started=True)
        admitted = await store.admit(session.id, at(2), START + 1000)
        assert admitted is not None
        assert admitted.in_flight == 1


class _Expiring:
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


class _Ending:
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

    @pytest.mark.parametrize("exit_", [WorkerExit(exit_code=0), WorkerExit(exit_code=255), WorkerExit(signal=9)])
    async def test_how_a_worker_was_lost_is_kept(self, store: SessionStore, exit_: WorkerExit) -> None:
        session = await added(store)
        await store.end(session.id, EndReason.WORKER_LOST, at(1), exit_)
        found = await store.get(session.id)
        assert found is not None
        assert found.worker_exit == exit_


class _Paging:
    async def test_pages_are_the_newest_first(self, store: SessionStore) -> None:
        # The order of creation counts, not what a wall clock says that may have been set back.
        ids = [(await added(store, created_at=WALL - number)).id for number in range(7)]
        assert await walk(store, ANY, 3) == ids[::-1]
        page = await store.page(ANY, 3)
        assert [session.id for session in page.sessions] == ids[:3:-1]

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
    async def test_the_last_page_has_no_cursor(self, store: SessionStore, count: int) -> None:
        ids = [(await added(store)).id for _ in range(count)]
        first = await store.page(ANY, 2)
        assert bool(first.next_cursor) == (count > 2)
        assert await walk(store, ANY, 2) == ids[::-1]

    async def test_a_page_shows_what_passes_all_of_the_filter(self, store: SessionStore) -> None:
        mine = await added(store, owner="me", app=AppRef("kv", "1"))
        newer = await added(store, owner="me", app=AppRef("kv", "2"))
        other = await added(store, owner="me", app=AppRef("sql", "1"))
        ended = await added(store, owner="me", app=AppRef("kv", "1"))
        foreign = await added(store, owner="you", app=AppRef("kv", "1"))
        await store.end(ended.id, EndReason.CALLER, at(1))
        await store.expire_if_due(other.id, at(TIMEOUT))
        cases = [
            (ANY, [foreign, ended, other, newer, mine]),
            (SessionFilter(owner="me"), [ended, other, newer, mine]),
            (SessionFilter(status=SessionStatus.ACTIVE), [foreign, newer, mine]),
            (SessionFilter(status=SessionStatus.EXPIRED), [other]),
            (SessionFilter(owner="me", app="kv"), [ended, newer, mine]),
            (SessionFilter(app="kv", version="1"), [foreign, ended, mine]),
            (SessionFilter(owner="me", status=SessionStatus.ACTIVE, app="kv", version="1"), [mine]),
            (SessionFilter(owner="nobody"), []),
        ]
        for filter, expected in cases:
            assert await walk(store, filter, 2) == [session.id for session in expected]

    async def test_a_walk_is_stable_while_sessions_come_change_and_go(self, store: SessionStore) -> None:
        ids = [(await added(store)).id for _ in range(10)]
        first = await store.page(ANY, 3)
        await added(store)
        await store.end(ids[8], EndReason.CALLER, at(1))  # shown already
        await store.end(ids[5], EndReason.CALLER, at(1))  # yet to come, and purged before
        await store.admit(ids[4], at(1), START + 100)
        await store.purge(WALL + 10)
        second = await store.page(ANY, 3, first.next_cursor)
        await added(store)
        third = await store.page(ANY, 10, second.next_cursor)
        seen = [session.id for page in (first, second, third) for session in page.sessions]
        assert seen == [ids[i] for i in (9, 8, 7, 6, 4, 3, 2, 1, 0)]

    async def test_a_walk_shows_each_session_that_passed_the_filter_throughout_once(self, store: SessionStore) -> None:
        filter = SessionFilter(status=SessionStatus.ACTIVE)
        ids = [(await added(store)).id for _ in range(6)]
        first = await store.page(filter, 2)
        for id in (ids[5], ids[4], ids[3]):  # among them the one that the cursor points at
            await store.end(id, EndReason.CALLER, at(1))
        await store.purge(WALL + 10)
        rest = await store.page(filter, 10, first.next_cursor)
        assert [session.id for session in first.sessions] == [ids[5], ids[4]]
        assert [session.id for session in rest.sessions] == [ids[2], ids[1], ids[0]]

    @pytest.mark.parametrize("cursor", ["x", "-1", "1.5", " 1", "1 ", "٣", "9" * 40, "1;DROP TABLE sessions", "\0"])
    async def test_a_cursor_that_was_never_given_is_invalid(self, store: SessionStore, cursor: str) -> None:
        await added(store)
        with pytest.raises(InvalidCursor):
            await store.page(ANY, 10, cursor)


class _Keeping:
    async def test_purging_forgets_what_finished_before_and_says_how_many(self, store: SessionStore) -> None:
        early, late, active = [await added(store) for _ in range(3)]
        await store.end(early.id, EndReason.CALLER, at(10))
        await store.end(late.id, EndReason.CALLER, at(20))
        assert await store.purge(WALL + 10) == 0
        assert await store.purge(WALL + 20) == 1
        assert await store.get(early.id) is None
        assert await walk(store, ANY, 10) == [active.id, late.id]

    async def test_purging_leaves_active_sessions_however_old(self, store: SessionStore) -> None:
        session = await added(store, created_at=1.0, last_call_at=2.0, expires_at=3.0, deadline=4.0)
        assert await store.purge(WALL + 1e9) == 0
        assert await store.get(session.id) == session

    async def test_a_purged_id_can_be_created_again(self, store: SessionStore) -> None:
        session = await added(store)
        await store.end(session.id, EndReason.CALLER, at(1))
        await store.purge(WALL + 10)
        await store.create(session)
        assert await store.get(session.id) == session

    async def test_what_was_there_at_the_close_is_there_when_it_is_opened_again(
        self, store: SessionStore, reopen: Reopen
    ) -> None:
        active, ended, lost = [await added(store) for _ in range(3)]
        await store.admit(active.id, at(1), START + 500)
        await store.end(ended.id, EndReason.CALLER, at(2))
        await store.end(lost.id, EndReason.WORKER_LOST, at(3), WorkerExit(signal=11))
        before = [await store.get(session.id) for session in (active, ended, lost)]
        again = await reopen()
        assert [await again.get(session.id) for session in (active, ended, lost)] == before
        assert await walk(again, ANY, 2) == [lost.id, ended.id, active.id]
        assert await again.due(at(499), 10) == []
        assert await again.due(at(500), 10) == [active.id]

    async def test_closing_twice_is_fine(self, store: SessionStore) -> None:
        await store.close()
        await store.close()


class _Racing:
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

    async def test_of_many_ends_at_one_moment_one_reason_stays(self, store: SessionStore) -> None:
        session = await added(store)
        reasons = [EndReason.CALLER, EndReason.WORKER_LOST, EndReason.FIRST_CALL_FAILED] * 5
        answers = await asyncio.gather(*(store.end(session.id, reason, at(1)) for reason in reasons))
        assert len({answer.end_reason for answer in answers if answer is not None}) == 1


class SessionStoreSuite(_Creating, _Admitting, _Finishing, _Expiring, _Ending, _Paging, _Keeping, _Racing):
    """Every promise of SessionStore. Needs the fixtures `store` and `reopen`."""
