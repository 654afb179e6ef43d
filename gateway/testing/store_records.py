"""Tests of session stores: records, pages, and what is kept for how long."""

# ruff: noqa: PLR2004  # tests compare with plain numbers

from dataclasses import replace

import pytest

from gateway.errors import WorkerExit
from gateway.model import AppRef, EndReason, SessionStatus
from gateway.stores.base import InvalidCursor, SessionFilter, SessionStore
from gateway.testing.store_harness import ABSENT, ANY, START, TIMEOUT, WALL, Reopen, a_session, added, at, walk


class StoreCreating:
    """Records of sessions."""

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

    async def test_a_session_is_there_for_its_owner_alone_whatever_is_going_on_in_it(self, store: SessionStore) -> None:
        session = await added(store)
        for _ in range(2):
            await store.admit(session.id, at(1), START + 100)
            assert await store.get(session.id, "somebody else") is None
            assert await store.finish(session.id, at(2), started=True) is not None
            assert await store.get(session.id, "somebody else") is None
            found = await store.get(session.id, session.owner)
            assert found is not None
            assert found.in_flight == 0
            assert found == await store.get(session.id)
        assert await store.get(ABSENT, session.owner) is None

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


class StoreCounting:
    """How many sessions an owner has."""

    async def test_the_active_sessions_of_an_owner_are_counted(self, store: SessionStore) -> None:
        assert await store.count_active("a", 10) == 0
        sessions = [await added(store, owner="a") for _ in range(3)]
        await added(store, owner="b")
        assert await store.count_active("a", 10) == 3
        await store.end(sessions[0].id, EndReason.CALLER, at(1))
        await store.expire_if_due(sessions[1].id, at(TIMEOUT + 1))
        assert await store.count_active("a", 10) == 1

    async def test_no_more_are_counted_than_was_asked_for(self, store: SessionStore) -> None:
        for _ in range(3):
            await added(store, owner="a")
        assert await store.count_active("a", 2) == 2

    async def test_a_session_too_many_of_an_owner_is_not_added(self, store: SessionStore) -> None:
        first, second, third = (a_session(owner="a") for _ in range(3))
        assert await store.create(first, at_most=2)
        assert await store.create(a_session(owner="b"), at_most=1)
        assert await store.create(second, at_most=2)
        assert not await store.create(third, at_most=2)
        assert await store.get(third.id) is None
        await store.end(first.id, EndReason.CALLER, at(1))
        assert await store.create(third, at_most=2)
        assert await store.count_active("a", 10) == 2

    async def test_a_session_that_is_due_counts_until_it_is_expired(self, store: SessionStore) -> None:
        session = await added(store, owner="a")
        assert (await store.due(at(TIMEOUT + 1), 10), await store.count_active("a", 10)) == ([session.id], 1)


class StorePaging:
    """Pages, and walks over them."""

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


class StoreKeeping:
    """What is kept, and for how long."""

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
