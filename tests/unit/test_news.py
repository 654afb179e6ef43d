"""Who is woken when something happens to a session."""

import asyncio

from gateway.sessions.watch import News


def test_a_watch_of_all_owners_is_woken_by_each_of_them_and_one_of_an_owner_by_that_one() -> None:
    news, everybody, mine, theirs = News(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    for owner, event in ((None, everybody), ("me", mine), ("them", theirs)):
        news.add(owner, event)
    news.tell("me")
    assert [event.is_set() for event in (everybody, mine, theirs)] == [True, True, False]
    everybody.clear()
    news.discard(None, everybody)
    news.tell("them")
    assert [event.is_set() for event in (everybody, mine, theirs)] == [False, True, True]


def test_a_watch_of_all_owners_is_one_for_which_other_processes_tell_their_news() -> None:
    news, event = News(), asyncio.Event()
    counts: list[int] = []
    news.on_change = lambda: counts.append(len(news))
    news.add(None, event)
    news.discard(None, event)
    assert counts == [1, 0]
