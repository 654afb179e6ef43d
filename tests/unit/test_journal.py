"""The journal of answers: a repeated request_id never runs twice."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.config import SessionSettings
from gateway.errors import AppError, AppNotFound, GatewayError, InternalError, RequestIdReused, RunState
from gateway.sessions.idempotency import Journal
from gateway.sessions.requests import CallProgress, RunAnswer
from gateway.testing.clock import FakeClock, settle

SAME, OTHER = b"same", b"other"


class Calls:
    """Calls that are answered when the test says so."""

    def __init__(self, clock: FakeClock, **settings: float) -> None:
        self.journal = Journal(SessionSettings.model_validate(settings), clock)
        self.runs = 0
        self.outcome: asyncio.Future[RunAnswer] = asyncio.get_running_loop().create_future()
        self.started = True

    def begin(self, id: str, fingerprint: bytes = SAME) -> "asyncio.Task[RunAnswer]":
        progress = CallProgress(f"call_{id}")
        run = self._run_for(progress)
        return asyncio.ensure_future(self.journal.once(("me", id), fingerprint, progress, run))

    async def call(self, id: str, fingerprint: bytes = SAME, output: bytes = b"{}") -> RunAnswer:
        """Run a call that is answered at once."""
        self.outcome = asyncio.get_running_loop().create_future()
        self.outcome.set_result(RunAnswer("call", output))
        return await self.begin(id, fingerprint)

    async def fail(self, id: str, error: Exception) -> None:
        self.outcome = asyncio.get_running_loop().create_future()
        self.outcome.set_exception(error)
        with pytest.raises(type(error)):
            await self.begin(id)

    def _run_for(self, progress: CallProgress) -> Callable[[CallProgress], Awaitable[RunAnswer]]:
        async def run(progress: CallProgress) -> RunAnswer:
            self.runs += 1
            progress.started = self.started
            return await asyncio.shield(self.outcome)

        return run


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def error(run_state: RunState) -> GatewayError:
    return AppError("it raised", run_state=run_state)


async def test_a_repeat_gets_the_first_answer(clock: FakeClock) -> None:
    calls = Calls(clock)
    first = await calls.call("1", output=b"first")
    assert await calls.call("1", output=b"second") is first
    assert calls.runs == 1


async def test_another_id_or_another_caller_runs(clock: FakeClock) -> None:
    calls = Calls(clock)
    await calls.call("1")
    await calls.call("2")
    progress = CallProgress("call")
    await calls.journal.once(("you", "1"), SAME, progress, calls._run_for(progress))
    assert calls.runs == 3


async def test_a_repeat_waits_while_the_first_still_runs(clock: FakeClock) -> None:
    calls = Calls(clock)
    first, second = calls.begin("1"), calls.begin("1")
    await settle()
    assert not second.done()
    calls.outcome.set_result(RunAnswer("call", b"{}"))
    assert await first is await second
    assert calls.runs == 1


@pytest.mark.parametrize("running", [True, False])
async def test_another_content_is_refused_as_not_started(clock: FakeClock, running: bool) -> None:
    calls = Calls(clock)
    first = calls.begin("1")
    await settle()
    if not running:
        calls.outcome.set_result(RunAnswer("call", b"{}"))
        await first
    with pytest.raises(RequestIdReused) as caught:
        await calls.begin("1", OTHER)
    assert caught.value.run_state is RunState.NOT_STARTED
    assert caught.value.metadata == {"requestId": "1"}
    if running:
        calls.outcome.set_result(RunAnswer("call", b"{}"))
    await first


@pytest.mark.parametrize("run_state", [RunState.UNKNOWN, RunState.COMPLETED])
async def test_an_error_of_a_call_that_may_have_run_is_kept(clock: FakeClock, run_state: RunState) -> None:
    calls = Calls(clock)
    await calls.fail("1", error(run_state))
    with pytest.raises(AppError):
        await calls.call("1")
    assert calls.runs == 1


async def test_an_unforeseen_error_of_a_call_that_was_started_is_kept(clock: FakeClock) -> None:
    calls = Calls(clock)
    await calls.fail("1", InternalError(RunState.UNKNOWN))
    with pytest.raises(InternalError):
        await calls.call("1")


async def test_an_error_of_a_call_that_was_not_started_is_not_kept(clock: FakeClock) -> None:
    calls = Calls(clock)
    await calls.fail("1", AppNotFound("no app", run_state=RunState.NOT_STARTED))
    assert (await calls.call("1", OTHER)).output == b"{}"
    assert calls.runs == 2


async def test_a_repeat_that_begins_in_the_turn_in_which_the_first_is_refused_runs(clock: FakeClock) -> None:
    calls = Calls(clock)
    calls.started = False
    calls.outcome.set_exception(AppNotFound("no app", run_state=RunState.NOT_STARTED))
    first = calls.begin("1")
    await asyncio.sleep(0)  # it runs in the next turn, and so does the repeat
    second = calls.begin("1")
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [AppNotFound, AppNotFound]
    assert calls.runs == 2
    assert calls.journal._entries == {}


async def test_a_started_call_goes_on_without_its_caller_and_its_answer_is_kept(clock: FakeClock) -> None:
    calls = Calls(clock)
    first = calls.begin("1")
    await settle()
    first.cancel()
    await settle()
    calls.outcome.set_result(RunAnswer("call", b"kept"))
    await settle()
    assert (await calls.begin("1")).output == b"kept"
    assert calls.runs == 1


async def test_a_call_that_was_not_started_is_dropped_with_its_last_caller(clock: FakeClock) -> None:
    calls = Calls(clock)
    calls.started = False
    first, second = calls.begin("1"), calls.begin("1")
    await settle()
    first.cancel()
    await settle()
    assert not second.done()
    second.cancel()
    await settle()
    assert calls.journal._entries == {}
    assert (await calls.call("1")).output == b"{}"
    assert calls.runs == 2


async def test_a_repeat_in_the_moment_of_the_cancellation_is_a_new_call(clock: FakeClock) -> None:
    calls = Calls(clock)
    calls.started = False
    first = calls.begin("1")
    await settle()
    first.cancel()
    await asyncio.sleep(0)  # it has been cancelled, but what it ran has not ended yet
    again = calls.begin("1")
    await settle()
    calls.outcome.set_result(RunAnswer("call", b"again"))
    assert (await again).output == b"again"
    assert (await calls.call("1", output=b"other")).output == b"again"
    assert calls.runs == 2


async def test_an_answer_is_kept_for_the_window(clock: FakeClock) -> None:
    calls = Calls(clock, journal_window=60)
    await calls.call("1")
    await clock.advance(59.9)
    await calls.call("1")
    assert calls.runs == 1
    await clock.advance(0.1)
    await calls.call("1")
    assert calls.runs == 2


async def test_the_window_begins_at_the_end_of_the_call(clock: FakeClock) -> None:
    calls = Calls(clock, journal_window=60)
    first = calls.begin("1")
    await clock.advance(1000)
    calls.outcome.set_result(RunAnswer("call", b"{}"))
    await first
    await clock.advance(59)
    await calls.call("1")
    assert calls.runs == 1


async def test_the_oldest_answers_go_when_there_are_too_many(clock: FakeClock) -> None:
    calls = Calls(clock, journal_entries=3)
    for id in "12345":
        await calls.call(id)
    assert {id for _, id in calls.journal._entries} == {"3", "4", "5"}
    await calls.call("3")
    assert calls.runs == 5
    await calls.call("1")
    assert calls.runs == 6


async def test_the_oldest_answers_go_when_they_are_too_large(clock: FakeClock) -> None:
    calls = Calls(clock, journal_bytes=10_000)
    for id in "123":
        await calls.call(id, output=b"x" * 4000)
    assert {id for _, id in calls.journal._entries} == {"2", "3"}
    await calls.call("4", output=b"x" * 20_000)
    assert calls.journal._entries == {}
    assert calls.journal._bytes == 0


async def test_a_call_that_runs_is_never_forgotten(clock: FakeClock) -> None:
    calls = Calls(clock, journal_entries=1, journal_window=1)
    running = calls.begin("running")
    await settle()
    pending, calls.outcome = calls.outcome, asyncio.get_running_loop().create_future()
    for id in "123":
        await calls.call(id)
    await clock.advance(1000)
    repeat = calls.begin("running")
    await settle()
    pending.set_result(RunAnswer("call", b"late"))
    assert (await repeat) is (await running)
