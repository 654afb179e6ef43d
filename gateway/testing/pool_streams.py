"""Tests of worker pools: functions that yield outputs before they end."""

# ruff: noqa: PLR2004  # tests compare with plain numbers

import json
from typing import Any

import pytest

from gateway.errors import AppError, RunState
from gateway.model import AppVersion
from gateway.testing.pool_harness import EPOCH, Leased, PoolFixtures, StartPool, answer, lease
from gateway.workers.base import PendingCall, WorkerCall
from gateway.workers.partials import Partials


def stream(
    leased: Leased,
    function: str,
    partials: Partials | None,
    request_id: str = "",
    max_output: int = 0,
    **input: Any,
) -> PendingCall:
    """Begin a call whose outputs are wanted. They end with the reply."""
    payload = json.dumps(input).encode()
    call = WorkerCall(
        function,
        payload,
        session_id=leased.session_id,
        epoch=EPOCH,
        request_id=request_id,
        max_output=max_output,
        partials=partials,
    )
    pending = leased.worker.call(call)
    if partials is not None:
        pending.reply.add_done_callback(lambda _: partials.finish())
    return pending


class PoolStreaming(PoolFixtures):
    """Partial outputs."""

    async def test_the_outputs_of_a_generator_come_in_order_and_before_the_reply(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app)
        partials = Partials()
        call = stream(leased, "yield_some", partials, outputs=3, size=0)
        assert [json.loads(output)["number"] async for output in partials] == [0, 1, 2]
        assert json.loads(await answer(call)) == {"outputs": 3}

    async def test_a_function_waits_when_too_much_is_unread_and_goes_on_when_it_is_read(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app)
        partials = Partials()
        call = stream(leased, "yield_some", partials, outputs=100, size=100_000)
        assert await anext(partials)
        for _ in range(20):
            # A function that does not wait is past this at the first of these calls.
            assert (await leased.call("kept"))["state"]["yielded"] < 20
        assert len([output async for output in partials]) == 99
        assert json.loads(await answer(call)) == {"outputs": 100}

    async def test_a_function_goes_on_without_a_reader(self, start_pool: StartPool, app: AppVersion) -> None:
        leased = await lease(await start_pool(), app)
        gone, never_there = Partials(), Partials()
        call = stream(leased, "yield_some", gone, outputs=100, size=100_000)
        await anext(gone)
        gone.close()
        never_there.close()
        for pending in (call, stream(leased, "yield_some", never_there, outputs=100, size=100_000)):
            assert json.loads(await answer(pending)) == {"outputs": 100}

    async def test_outputs_that_nobody_wants_are_dropped(self, start_pool: StartPool, app: AppVersion) -> None:
        leased = await lease(await start_pool(), app)
        call = stream(leased, "yield_some", None, outputs=100, size=100_000)
        assert json.loads(await answer(call)) == {"outputs": 100}

    async def test_a_repeat_has_the_reply_and_no_outputs(self, start_pool: StartPool, app: AppVersion) -> None:
        leased = await lease(await start_pool(), app)
        first, again = Partials(), Partials()
        stream(leased, "yield_some", first, request_id="once", outputs=2, size=0)
        assert len([output async for output in first]) == 2
        repeat = stream(leased, "yield_some", again, request_id="once", outputs=2, size=0)
        assert json.loads(await answer(repeat)) == {"outputs": 2}
        assert repeat.repeated
        assert [output async for output in again] == []

    async def test_an_output_that_is_too_large_ends_the_call_and_closes_the_generator(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app)
        call = stream(leased, "yield_some", Partials(), max_output=1000, outputs=100, size=20_000)
        with pytest.raises(AppError) as caught:
            await answer(call)
        assert caught.value.run_state is RunState.COMPLETED
        assert caught.value.failure is not None
        assert caught.value.failure.type == "OutputTooLarge"
        assert (await leased.call("kept"))["state"]["closed"]

    async def test_a_generator_that_is_cancelled_is_closed(self, start_pool: StartPool, app: AppVersion) -> None:
        leased = await lease(await start_pool(), app)
        partials = Partials()
        call = stream(leased, "yield_some", partials, outputs=100, size=100_000)
        await anext(partials)
        call.cancel()
        with pytest.raises(AppError):
            await answer(call)
        assert (await leased.call("kept"))["state"]["closed"]
