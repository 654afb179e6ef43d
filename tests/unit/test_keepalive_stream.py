"""The keepalive stream, apart from any transport: answers in order, news in between, all of it bounded."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gateway.clock import Instant
from gateway.errors import GatewayError, InternalError, InvalidRequest, SessionEnded, SessionNotFound, StoreUnavailable
from gateway.model import EndReason, Session, SessionStatus
from gateway.sessions import keepalive
from gateway.sessions.keepalive import MAX_UNREAD, KeepaliveOutcome, KeepaliveStream
from gateway.sessions.renewals import Renewals
from gateway.stores.guarded import unavailable
from gateway.testing.clock import FakeClock, settle
from gateway.testing.store_harness import a_session

Watcher = Callable[[Session], object]


class Sessions:
    """Stands for the lifecycle and the store: sessions that can be renewed, watched and ended.

    Those of `here` have their workers in this gateway, and can be renewed together.
    """

    def __init__(self, *ids: str, here: Iterable[str] = (), timeouts: dict[str, int] | None = None) -> None:
        self.sessions = {id: a_session(id=id, owner="me", timeout=(timeouts or {}).get(id, 60)) for id in (*ids, *here)}
        self.live = {id: SimpleNamespace(owner="me", record=self.sessions[id], over=False, renewed=None) for id in here}
        self.watchers: dict[str, Watcher] = {}
        self.steps: list[list[str]] = []
        """What was renewed together, step by step."""
        self.failure: Exception | None = None
        self.meanwhile: Callable[[], object] = lambda: None
        """Called while the store is busy with a step."""

    async def renew_many(self, session_ids: Collection[str], owner: str, now: Instant) -> Collection[str]:
        self.steps.append(list(session_ids))
        if self.failure is not None:
            raise self.failure
        assert owner == "me"
        return [id for id in session_ids if id in self.sessions]

    async def keepalive(self, session_id: str, principal: str) -> Session:
        self.meanwhile()
        if session_id not in self.sessions or principal != "me":
            raise SessionNotFound.of(session_id)
        if isinstance(self.failure, StoreUnavailable):
            raise self.failure
        return self.sessions[session_id]

    def watch(self, session_id: str, watcher: Watcher) -> Callable[[], None]:
        self.watchers[session_id] = watcher
        return lambda: self.watchers.pop(session_id, None) and None

    def end(self, session_id: str) -> None:
        over = replace(self.sessions.pop(session_id), status=SessionStatus.ENDED, end_reason=EndReason.CALLER)
        if session_id in self.live:
            live = self.live.pop(session_id)
            live.over, live.record = True, over
        watcher = self.watchers.pop(session_id, None)
        if watcher is not None:
            watcher(over)


def stream_of(sessions: Sessions, principal: str = "me") -> KeepaliveStream:
    renewals = Renewals(sessions, sessions, FakeClock())  # type: ignore[arg-type]
    return KeepaliveStream(sessions, renewals, principal)  # type: ignore[arg-type]


async def read(stream: KeepaliveStream) -> list[KeepaliveOutcome]:
    """Return the outcomes that are there, once there are any."""
    return (await anext(stream)).outcomes


async def test_each_renewal_is_answered_in_order() -> None:
    stream = stream_of(Sessions("b", here=["a"]))
    for id in ("a", "x", "b", "a"):
        await stream.renew([id])
    stream.no_more_requests()
    answers = [outcome async for read in stream for outcome in read.outcomes]
    assert [answer.session_id for answer in answers] == ["a", "x", "b", "a"]
    assert isinstance(answers[1].outcome, SessionNotFound)


async def test_what_is_asked_for_on_several_streams_at_a_time_is_one_step_and_an_id_is_renewed_once_in_it() -> None:
    sessions = Sessions(here=["a", "b"])
    renewals = Renewals(sessions, sessions, FakeClock())  # type: ignore[arg-type]
    one, two = [KeepaliveStream(sessions, renewals, "me") for _ in range(2)]  # type: ignore[arg-type]
    await one.renew(["a"])
    await one.renew(["a", "b"])
    await two.renew(["b"])
    assert [answer.session_id for answer in await read(one)] == ["a", "a", "b"]
    assert [answer.session_id for answer in await read(two)] == ["b"]
    assert sessions.steps == [["a", "b"]]


async def test_answers_that_are_wanted_together_are_grouped_by_when_the_sessions_expire() -> None:
    stream = stream_of(Sessions("d", here=["a", "b", "c"], timeouts={"b": 10}))
    await stream.renew(["a", "b", "x", "c", "d"], together=True)
    await stream.renew(["c"])
    await stream.renew(["a"], together=True)
    answers = await anext(stream)
    now = FakeClock().now()
    assert answers.renewed == {
        (now.monotonic + 60, now.wall + 60): ["a", "c", "d", "a"],
        (now.monotonic + 10, now.wall + 10): ["b"],
    }
    assert [outcome.session_id for outcome in answers.outcomes] == ["x", "c"]
    assert answers.count == 7


async def test_another_callers_session_is_not_found() -> None:
    stream = stream_of(Sessions("b", here=["a"]), principal="you")
    await stream.renew(["a", "b"])
    assert [type(answer.outcome) for answer in await read(stream)] == [SessionNotFound, SessionNotFound]


async def test_the_end_of_a_session_is_news_for_one_who_waits() -> None:
    sessions = Sessions(here=["a"])
    stream = stream_of(sessions)
    await stream.renew(["a"])
    await anext(stream)
    waiting = asyncio.ensure_future(read(stream))
    await settle()
    assert not waiting.done()
    sessions.end("a")
    (news,) = await waiting
    assert isinstance(news.outcome, SessionEnded)
    assert news.outcome.end_reason == "caller"


async def test_a_session_that_ends_while_others_are_still_renewed_is_told_as_ended() -> None:
    sessions = Sessions("b", here=["a"])
    stream = stream_of(sessions)
    sessions.meanwhile = lambda: sessions.end("a") if "a" in sessions.live else None
    await stream.renew(["a", "b"])
    assert [isinstance(answer.outcome, SessionEnded) for answer in await read(stream)] == [True, False]
    assert list(sessions.watchers) == ["b"]


@pytest.mark.parametrize("here", [True, False])
async def test_a_session_that_is_renewed_twice_is_watched_once(here: bool) -> None:
    sessions = Sessions(here=["a"]) if here else Sessions("a")
    stream = stream_of(sessions)
    await stream.renew(["a"])
    await stream.renew(["a"])
    await settle()
    sessions.end("a")
    stream.no_more_requests()
    outcomes = [answer.outcome async for read in stream for answer in read.outcomes]
    assert [isinstance(outcome, GatewayError) for outcome in outcomes] == [False, False, True]


async def test_a_session_that_cannot_be_renewed_any_more_is_forgotten() -> None:
    sessions = Sessions("a")
    stream = stream_of(sessions)
    await stream.renew(["a"])
    await settle()
    del sessions.sessions["a"]
    await stream.renew(["a"])
    await settle()
    assert sessions.watchers == {}


async def test_while_the_store_fails_each_is_told_so_and_stays_on_the_stream() -> None:
    sessions = Sessions("b", here=["a"])
    stream = stream_of(sessions)
    await stream.renew(["a", "b"], together=True)
    await anext(stream)
    sessions.failure = unavailable()
    await stream.renew(["a", "b"], together=True)
    assert [type(answer.outcome) for answer in await read(stream)] == [StoreUnavailable, StoreUnavailable]
    assert set(sessions.watchers) == {"a", "b"}


async def test_what_nobody_foresaw_ends_the_stream_as_internal_error_and_later_ones_are_answered() -> None:
    sessions = Sessions(here=["a"])
    renewals = Renewals(sessions, sessions, FakeClock())  # type: ignore[arg-type]
    one, two = [KeepaliveStream(sessions, renewals, "me") for _ in range(2)]  # type: ignore[arg-type]
    sessions.failure = RuntimeError("unforeseen")
    await one.renew(["a"])
    with pytest.raises(InternalError) as raised:
        await anext(one)
    assert raised.value.__cause__ is sessions.failure
    sessions.failure = None
    await two.renew(["a"])
    assert [answer.session_id for answer in await read(two)] == ["a"]


async def test_closing_takes_all_sessions_off_the_stream_also_those_that_are_being_renewed() -> None:
    sessions = Sessions("b", here=["a"])
    stream = stream_of(sessions)
    await stream.renew(["a"])
    await settle()
    await stream.renew(["a", "b"])
    stream.close()
    stream.close()
    await settle()
    assert sessions.watchers == {}


async def test_requests_wait_while_too_many_answers_are_unread_and_news_does_not() -> None:
    sessions = Sessions(here=["a"])
    stream = stream_of(sessions)
    for _ in range(MAX_UNREAD):
        await stream.renew(["a"])
    waiting = asyncio.ensure_future(stream.renew(["a"]))
    await settle()
    assert not waiting.done()
    sessions.end("a")
    await settle()
    assert not waiting.done()
    assert len(await read(stream)) == MAX_UNREAD + 1
    await waiting


@pytest.mark.parametrize("at_once", [True, False])
async def test_one_session_too_many_on_a_stream_is_told_so_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(keepalive, "MAX_SESSIONS", 2)
    stream = stream_of(Sessions("a", "b", here=["c"]))
    asked = ["a", "b", "c", "a"]
    for request in [asked] if at_once else [[id] for id in asked]:
        await stream.renew(request)
    stream.no_more_requests()
    *before, refused, after = [outcome async for read in stream for outcome in read.outcomes]
    assert [answer.session_id for answer in (*before, refused, after)] == asked
    assert isinstance(refused.outcome, InvalidRequest)
    assert [violation.field for violation in refused.outcome.violations] == ["session_ids"]
    assert not any(isinstance(answer.outcome, GatewayError) for answer in (*before, after))


async def test_the_end_of_the_requests_ends_the_stream_after_all_answers() -> None:
    stream = stream_of(Sessions("a"))
    waiting = asyncio.ensure_future(anext(stream))
    await settle()
    stream.no_more_requests()
    with pytest.raises(StopAsyncIteration):
        await waiting
