"""The keepalive stream, apart from any transport: answers in order, news in between, all of it bounded."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import GatewayError, InvalidRequest, SessionEnded, SessionNotFound
from gateway.model import EndReason, Session, SessionStatus
from gateway.sessions import keepalive
from gateway.sessions.keepalive import MAX_UNREAD, KeepaliveStream
from gateway.testing.clock import settle
from gateway.testing.store_harness import a_session

Watcher = Callable[[Session], object]


class Sessions:
    """Stands for the lifecycle: sessions that can be renewed, watched and ended."""

    def __init__(self, *ids: str) -> None:
        self.sessions = {id: a_session(id=id, owner="me") for id in ids}
        self.watchers: dict[str, Watcher] = {}

    async def keepalive(self, session_id: str, principal: str) -> Session:
        if session_id not in self.sessions or principal != "me":
            raise SessionNotFound.of(session_id)
        return self.sessions[session_id]

    def watch(self, session_id: str, watcher: Watcher) -> Callable[[], None]:
        self.watchers[session_id] = watcher
        return lambda: self.watchers.pop(session_id, None) and None

    def end(self, session_id: str) -> None:
        session = self.sessions.pop(session_id)
        self.watchers.pop(session_id)(replace(session, status=SessionStatus.ENDED, end_reason=EndReason.CALLER))


def stream_of(sessions: Sessions, principal: str = "me") -> KeepaliveStream:
    return KeepaliveStream(sessions, principal)  # type: ignore[arg-type]


async def test_each_renewal_is_answered_in_order() -> None:
    stream = stream_of(Sessions("a", "b"))
    for id in ("a", "x", "b", "a"):
        await stream.renew(id)
    await stream.no_more_requests()
    answers = [outcome async for outcome in stream]
    assert [answer.session_id for answer in answers] == ["a", "x", "b", "a"]
    assert isinstance(answers[1].outcome, SessionNotFound)


async def test_another_callers_session_is_not_found() -> None:
    stream = stream_of(Sessions("a"), principal="you")
    await stream.renew("a")
    assert isinstance((await anext(stream)).outcome, SessionNotFound)


async def test_the_end_of_a_session_is_news_for_one_who_waits() -> None:
    sessions = Sessions("a")
    stream = stream_of(sessions)
    await stream.renew("a")
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await settle()
    assert not waiting.done()
    sessions.end("a")
    news = await waiting
    assert isinstance(news.outcome, SessionEnded)
    assert news.outcome.end_reason == "caller"


async def test_a_session_that_is_renewed_twice_is_watched_once() -> None:
    sessions = Sessions("a")
    stream = stream_of(sessions)
    await stream.renew("a")
    await stream.renew("a")
    sessions.end("a")
    await stream.no_more_requests()
    outcomes = [answer.outcome async for answer in stream]
    assert [isinstance(outcome, GatewayError) for outcome in outcomes] == [False, False, True]


async def test_a_session_that_cannot_be_renewed_any_more_is_forgotten() -> None:
    sessions = Sessions("a")
    stream = stream_of(sessions)
    await stream.renew("a")
    del sessions.sessions["a"]
    await stream.renew("a")
    assert sessions.watchers == {}


async def test_closing_takes_all_sessions_off_the_stream() -> None:
    sessions = Sessions("a", "b")
    stream = stream_of(sessions)
    await stream.renew("a")
    await stream.renew("b")
    stream.close()
    stream.close()
    assert sessions.watchers == {}


async def test_requests_wait_while_too_many_answers_are_unread_and_news_does_not() -> None:
    sessions = Sessions("a")
    stream = stream_of(sessions)
    for _ in range(MAX_UNREAD):
        await stream.renew("a")
    waiting = asyncio.ensure_future(stream.renew("a"))
    await settle()
    assert not waiting.done()
    sessions.end("a")
    assert len(stream._unread) == MAX_UNREAD + 1
    await anext(stream)
    await settle()
    assert not waiting.done()
    await anext(stream)
    await waiting


async def test_one_session_too_many_on_a_stream_is_told_so_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keepalive, "MAX_SESSIONS", 2)
    stream = stream_of(Sessions("a", "b", "c"))
    for session_id in ("a", "b", "c", "a"):
        await stream.renew(session_id)
    *before, refused, after = [await anext(stream) for _ in range(4)]
    assert [answer.session_id for answer in (*before, refused, after)] == ["a", "b", "c", "a"]
    assert isinstance(refused.outcome, InvalidRequest)
    assert [violation.field for violation in refused.outcome.violations] == ["session_ids"]
    assert not any(isinstance(answer.outcome, GatewayError) for answer in (*before, after))


async def test_the_end_of_the_requests_ends_the_stream_after_all_answers() -> None:
    stream = stream_of(Sessions("a"))
    waiting = asyncio.ensure_future(anext(stream))
    await settle()
    await stream.no_more_requests()
    with pytest.raises(StopAsyncIteration):
        await waiting
