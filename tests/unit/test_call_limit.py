"""Which call is told that it took too long, when a worker is ended for one."""

import asyncio
from pathlib import Path

from gateway.errors import CallTimedOut
from gateway.model import AppRef, AppVersion
from gateway.testing.clock import FakeClock
from gateway.timing import CALL_LIMIT_GRACE
from gateway.workers.base import WorkerCall
from gateway.workers.call_limit import CallLimit
from gateway.workers.connection import SentCall, WorkerConnection

LIMIT = 1.5


class Worker:
    """One whose calls are bounded, and that takes a moment to end."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ended_for: list[str] = []
        app = AppVersion(AppRef("app", "1"), Path("/nowhere"))
        self.limit = CallLimit(app, LIMIT, self.clock, self.ended_for.append)
        self._connection = WorkerConnection("wrk_a", app.ref, on_ready=bool, on_failed=bool, on_broken=bool)

    def given(self, call_id: str) -> SentCall:
        call = SentCall(self._connection, call_id, WorkerCall("run", b"{}", call_id=call_id))
        self.limit.bound(call)
        return call

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)


async def test_a_call_that_takes_too_long_is_told_so() -> None:
    worker = Worker()
    call = worker.given("call_a")
    await worker.later(LIMIT + CALL_LIMIT_GRACE)
    assert isinstance(call.overdue, CallTimedOut)
    assert worker.ended_for == ["call_a"]


async def test_a_call_that_was_given_to_a_worker_that_was_blocked_already_is_not_the_one() -> None:
    worker = Worker()
    worker.limit.bound_unheard(asyncio.get_running_loop().create_future())
    call = worker.given("call_a")
    await worker.later(LIMIT + CALL_LIMIT_GRACE)
    assert call.overdue is None
    assert worker.ended_for == [""]


async def test_nobody_is_ended_for_what_a_worker_ran_that_has_told_of_it() -> None:
    worker = Worker()
    heard = asyncio.get_running_loop().create_future()
    worker.limit.bound_unheard(heard)
    heard.set_result(None)
    await asyncio.sleep(0)
    await worker.later(LIMIT + CALL_LIMIT_GRACE)
    assert worker.ended_for == []
