"""Tests of session stores: what is remembered of how sessions began and finished."""

import pytest

from gateway.errors import WorkerExit
from gateway.model import AppRef, EndReason, Session, SessionStatus
from gateway.stores.base import EventsForgotten, InvalidCursor, SessionFilter, SessionStore
from gateway.testing.store_harness import ABSENT, ANY, START, TIMEOUT, WALL, Reopen, added, at


async def told(
    store: SessionStore, after: str, filter: SessionFilter = ANY, limit: int = 100
) -> list[tuple[str, SessionStatus]]:
    """Return the id and the new status in all events behind a cursor, read so many at a time."""
    found = []
    while True:
        page = await store.events(filter, after, limit)
        found += [(event.session.id, event.session.status) for event in page.events]
        after = page.cursor
        if len(page.events) < limit:
            return found


class StoreTelling:
    """Events, each with its session as it was right after it."""

    async def test_each_creation_end_and_expiry_is_one_event_in_the_order_in_which_they_happened(
        self, store: SessionStore
    ) -> None:
        start = await store.position()
        ended, expired, lost = [await added(store) for _ in range(3)]
        await store.end(lost.id, EndReason.WORKER_LOST, at(1), WorkerExit(signal=9))
        await store.end(ended.id, EndReason.CALLER, at(2))
        await store.expire_if_due(expired.id, at(TIMEOUT))
        assert await told(store, start) == [
            (ended.id, SessionStatus.ACTIVE),
            (expired.id, SessionStatus.ACTIVE),
            (lost.id, SessionStatus.ACTIVE),
            (lost.id, SessionStatus.ENDED),
            (ended.id, SessionStatus.ENDED),
            (expired.id, SessionStatus.EXPIRED),
        ]

    async def test_what_changes_nothing_of_a_sessions_status_is_no_event(self, store: SessionStore) -> None:
        session = await added(store)
        begun = await store.position()
        await store.admit(session.id, at(1), START + 100)
        await store.hold([session.id], START + 200)
        await store.finish(session.id, at(2), started=True)
        await store.renew(session.id, at(3))
        await store.adopt(session.id, in_flight=0, call_count=7, hold_until=START + 10)
        await store.expire_if_due(session.id, at(4))
        await store.end(ABSENT, EndReason.CALLER, at(4))
        with pytest.raises(ValueError, match=session.id):
            await store.create(session)
        assert await told(store, begun) == []
        await store.end(session.id, EndReason.CALLER, at(5))
        over = await store.position()
        await store.end(session.id, EndReason.WORKER_LOST, at(6))
        await store.finish(session.id, at(7), started=False)
        await store.purge(WALL + 1000)
        assert await told(store, begun) == [(session.id, SessionStatus.ENDED)]
        assert await told(store, over) == []

    async def test_an_expiry_that_a_late_call_or_keepalive_finds_is_an_event_too(self, store: SessionStore) -> None:
        called, renewed = await added(store), await added(store)
        begun = await store.position()
        await store.admit(called.id, at(TIMEOUT), START + 1000)
        await store.renew(renewed.id, at(TIMEOUT))
        assert await told(store, begun) == [(called.id, SessionStatus.EXPIRED), (renewed.id, SessionStatus.EXPIRED)]

    async def test_sessions_that_expire_in_one_step_are_an_event_each(self, store: SessionStore) -> None:
        due, other = await added(store), await added(store, timeout=300, deadline=START + 300)
        also_due = await added(store)
        begun = await store.position()
        await store.expire_due([due.id, other.id, also_due.id], at(TIMEOUT))
        await store.renew_many([due.id, other.id], "owner", at(TIMEOUT))
        told_of = await told(store, begun)
        assert set(told_of) == {(due.id, SessionStatus.EXPIRED), (also_due.id, SessionStatus.EXPIRED)}
        assert len(set(told_of)) == len(told_of)

    async def test_an_event_has_the_session_as_it_was_right_after_it_whatever_comes_later(
        self, store: SessionStore
    ) -> None:
        start = await store.position()
        session = await added(store, owner="key:ü", app=AppRef("acme/kv", "1.0"), in_flight=1, call_count=1)
        await store.admit(session.id, at(10), START + 100)
        ended = await store.end(session.id, EndReason.WORKER_LOST, at(11), WorkerExit(exit_code=3), running=1)
        await store.finish(session.id, at(12), started=False)
        events = (await store.events(ANY, start, 10)).events
        assert [event.session for event in events] == [session, ended]
        await store.purge(WALL + 1000)
        assert [event.session for event in (await store.events(ANY, start, 10)).events] == [session, ended]

    async def test_an_event_is_there_as_soon_as_the_change_is(self, store: SessionStore, reopen: Reopen) -> None:
        start = await store.position()
        session = await added(store)
        assert await told(store, start) == [(session.id, SessionStatus.ACTIVE)]
        await store.end(session.id, EndReason.CALLER, at(1))
        assert (await told(await reopen(), start))[-1] == (session.id, SessionStatus.ENDED)


class StoreWatching:
    """Walks along events."""

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_a_walk_from_cursor_to_cursor_shows_each_event_once(self, store: SessionStore, limit: int) -> None:
        start = await store.position()
        sessions = [await added(store) for _ in range(3)]
        for session in sessions:
            await store.end(session.id, EndReason.CALLER, at(1))
        expected = [(session.id, SessionStatus.ACTIVE) for session in sessions]
        expected += [(session.id, SessionStatus.ENDED) for session in sessions]
        assert await told(store, start, limit=limit) == expected

    async def test_every_event_has_a_cursor_behind_it(self, store: SessionStore) -> None:
        start = await store.position()
        ids = [(await added(store)).id for _ in range(4)]
        page = await store.events(ANY, start, 3)
        assert page.cursor == page.events[-1].cursor
        for number, event in enumerate(page.events, start=1):
            assert [id for id, _ in await told(store, event.cursor)] == ids[number:]

    async def test_events_that_happen_during_a_walk_come_later_in_it(self, store: SessionStore) -> None:
        start = await store.position()
        first = await added(store)
        page = await store.events(ANY, start, 1)
        second = await added(store)
        await store.end(first.id, EndReason.CALLER, at(1))
        assert await told(store, page.cursor) == [
            (second.id, SessionStatus.ACTIVE),
            (first.id, SessionStatus.ENDED),
        ]

    async def test_the_present_position_is_behind_every_event_so_far(self, store: SessionStore) -> None:
        session = await added(store)
        now = await store.position()
        assert await store.position() == now
        assert list((await store.events(ANY, now, 10)).events) == []
        await store.end(session.id, EndReason.CALLER, at(1))
        assert await told(store, now) == [(session.id, SessionStatus.ENDED)]

    async def test_a_walk_shows_only_sessions_that_passed_the_filter_right_after_the_event(
        self, store: SessionStore
    ) -> None:
        start = await store.position()
        mine = await added(store, owner="me")
        theirs = await added(store, owner="you")
        newer = await added(store, owner="me", app=AppRef("kv", "2"))
        other = await added(store, owner="me", app=AppRef("other", "1"))
        await store.end(mine.id, EndReason.CALLER, at(1))
        await store.end(theirs.id, EndReason.CALLER, at(1))
        cases: list[tuple[SessionFilter, list[Session]]] = [
            (ANY, [mine, theirs, newer, other, mine, theirs]),
            (SessionFilter(owner="me"), [mine, newer, other, mine]),
            (SessionFilter(owner="me", app="kv"), [mine, newer, mine]),
            (SessionFilter(owner="me", app="kv", version="2"), [newer]),
            (SessionFilter(owner="me", status=SessionStatus.ENDED), [mine]),
            (SessionFilter(owner="nobody"), []),
        ]
        for filter, expected in cases:
            for limit in (1, 2, 100):
                found = await told(store, start, filter, limit)
                assert [id for id, _ in found] == [session.id for session in expected]

    async def test_events_that_do_not_pass_the_filter_are_left_behind_by_the_cursor(self, store: SessionStore) -> None:
        start = await store.position()
        for _ in range(5):
            await added(store, owner="you")
        page = await store.events(SessionFilter(owner="me"), start, 2)
        assert (list(page.events), page.cursor) == ([], await store.position())

    async def test_a_cursor_is_good_when_the_store_is_opened_again(self, store: SessionStore, reopen: Reopen) -> None:
        start = await store.position()
        session = await added(store)
        now = await store.position()
        again = await reopen()
        assert await again.position() == now
        other = await added(again)
        assert [id for id, _ in await told(again, start)] == [session.id, other.id]
        assert [id for id, _ in await told(again, now)] == [other.id]

    async def test_a_position_that_was_never_given_is_invalid(self, store: SessionStore) -> None:
        await added(store)
        given = await store.position()
        changed = given[:-1] + ("0" if given[-1] != "0" else "1")
        for cursor in ("", "x", "-1", "1", "1.5", given + "0", " " + given, "9" + given, changed, "٣.0", "9" * 40):
            with pytest.raises(InvalidCursor):
                await store.events(ANY, cursor, 10)


class StoreForgetting:
    """How long events are kept."""

    async def test_what_is_forgotten_cannot_be_asked_for_and_what_is_younger_can(self, store: SessionStore) -> None:
        start = await store.position()
        await added(store, created_at=WALL)
        seen_first = await store.position()
        await added(store, created_at=WALL + 10)
        seen_second = await store.position()
        third = await added(store, created_at=WALL + 20)
        assert await store.forget_events(WALL) <= 1
        await store.forget_events(WALL + 20)
        for too_old in (start, seen_first):
            with pytest.raises(EventsForgotten):
                await store.events(ANY, too_old, 10)
        assert await told(store, seen_second) == [(third.id, SessionStatus.ACTIVE)]
        assert await store.forget_events(WALL + 20) == 0

    async def test_forgetting_goes_no_further_than_to_an_event_that_is_younger(self, store: SessionStore) -> None:
        await added(store, created_at=WALL)
        seen_first = await store.position()
        younger = await added(store, created_at=WALL + 30)
        set_back = await added(store, created_at=WALL + 5)  # by a wall clock that was set back
        await store.forget_events(WALL + 20)
        assert [id for id, _ in await told(store, seen_first)] == [younger.id, set_back.id]

    async def test_an_end_counts_by_when_it_happened_and_not_by_its_sessions_age(self, store: SessionStore) -> None:
        session = await added(store, created_at=WALL)
        begun = await store.position()
        await store.end(session.id, EndReason.CALLER, at(30))
        await store.forget_events(WALL + 20)
        assert await told(store, begun) == [(session.id, SessionStatus.ENDED)]

    async def test_the_present_position_is_good_although_everything_was_forgotten(
        self, store: SessionStore, reopen: Reopen
    ) -> None:
        for _ in range(3):
            await added(store)
        now = await store.position()
        await store.forget_events(WALL + 1000)
        assert await store.position() == now
        assert await told(store, now) == []
        again = await reopen()
        session = await added(again)
        assert await told(again, now) == [(session.id, SessionStatus.ACTIVE)]

    async def test_forgetting_events_leaves_the_sessions(self, store: SessionStore) -> None:
        session = await added(store)
        await store.forget_events(WALL + 1000)
        assert await store.get(session.id) == session
