"""The interpreter example: code that runs too long, and calls that are cancelled."""

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from gateway.testing.clock import settle
from tests.examples.conftest import RunningApp, StartApp

ENDLESS = {
    "a loop": "while True:\n    pass",
    "a loop that catches exceptions": "while True:\n    try:\n        1 / 0\n    except Exception:\n        pass",
    "a repr": "class R:\n    def __repr__(self):\n        while True:\n            pass\nR()",
    "a wait": "import asyncio\nawait asyncio.sleep(1000)",
    "a coroutine that computes": "async def f():\n    while True:\n        pass\nawait f()",
    "a loop of its own": "import asyncio\nasync def f():\n    while True: await asyncio.sleep(0)\nasyncio.run(f())",
}


class GatedFuture(Future[Any]):
    """Keeps the console's thread, when its cell has been run, until a gate opens."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate

    def set_result(self, result: Any) -> None:
        self._gate.wait(10)
        super().set_result(result)


async def run(app: RunningApp, code: str, **more: Any) -> dict[str, Any]:
    return await app.call("run", {"code": code, **more})


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
async def test_code_that_does_not_end_is_stopped_and_the_session_goes_on(start_app: StartApp, code: str) -> None:
    async with start_app("interpreter") as app:
        answer = await run(app, f"kept = 1\nprint('so far')\n{code}", timeout_seconds=0.05)
        assert (await run(app, "kept"))["result_json"] == 1
    assert answer["stdout"] == "so far\n"
    assert answer["error"]["type"] == "TimeoutError"


async def test_the_traceback_of_stopped_code_shows_where_it_was(start_app: StartApp) -> None:
    async with start_app("interpreter") as app:
        error = (await run(app, "def f():\n    while True: pass\nf()", timeout_seconds=0.05))["error"]
    assert error["message"] == "stopped after 0.05 s"
    assert "in f" in error["traceback"]
    assert error["traceback"].endswith("TimeoutError: stopped after 0.05 s\n")


async def test_an_exception_whose_text_takes_for_ever_is_told_without_it(start_app: StartApp) -> None:
    code = "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E"
    async with start_app("interpreter") as app:
        error = (await run(app, code, timeout_seconds=0.05))["error"]
        assert (await run(app, "1"))["result_json"] == 1
    assert error["type"] == "E"


async def test_only_the_call_that_was_stopped_is_said_to_be(start_app: StartApp) -> None:
    async with start_app("interpreter") as app:
        assert (await run(app, "while True: pass", timeout_seconds=0.05))["error"]["type"] == "TimeoutError"
        error = (await run(app, "import asyncio\nraise asyncio.CancelledError"))["error"]
    assert error["type"] == "asyncio.exceptions.CancelledError"


async def test_stopped_code_can_clean_up(start_app: StartApp) -> None:
    waiting = (
        "import asyncio\ntry:\n    await asyncio.sleep(1000)\nfinally:\n    await asyncio.sleep(0)\n    print('clean')"
    )
    async with start_app("interpreter") as app:
        assert (await run(app, waiting, timeout_seconds=0.05))["stdout"] == "clean\n"


async def test_a_cancelled_call_stops_its_code_and_leaves_no_output_behind(start_app: StartApp) -> None:
    async with start_app("interpreter") as app:
        begun = threading.Event()
        app.instance._console.module.begun = begun  # type: ignore[attr-defined]
        calling = asyncio.ensure_future(run(app, "print('unread')\nkept = 1\nbegun.set()\nwhile True:\n    pass"))
        assert await asyncio.to_thread(begun.wait, 10)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        answer = await run(app, "kept")
    assert (answer["result_json"], answer["stdout"]) == (1, "")


async def test_a_cell_is_stopped_also_when_the_cancellation_comes_before_it_has_begun(start_app: StartApp) -> None:
    async with start_app("interpreter") as app:
        console: Any = app.instance._console  # type: ignore[attr-defined]
        may_begin, stop_once = threading.Event(), console._stop_once

        def stopped_once() -> None:
            stop_once()
            may_begin.set()

        console._stop_once = stopped_once
        console._cells.put((0, "", GatedFuture(may_begin)))
        calling = asyncio.ensure_future(run(app, "import asyncio\nawait asyncio.sleep(1000)"))
        await settle()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert (await run(app, "1"))["result_json"] == 1


async def test_code_that_cannot_be_stopped_keeps_others_out_until_it_ends(start_app: StartApp) -> None:
    async with start_app("interpreter") as app:
        app.instance._patience_seconds = 0.04  # type: ignore[attr-defined]
        gate = threading.Event()
        app.instance._console.module.gate = gate  # type: ignore[attr-defined]
        try:
            stuck = await run(app, "print('before')\ngate.wait()\nended = 1", timeout_seconds=0.05)
            refused = await run(app, "1")
        finally:
            gate.set()
        await asyncio.wait([asyncio.wrap_future(app.instance._running)], timeout=10)  # type: ignore[attr-defined]
        answer = await run(app, "2")
    assert stuck["error"]["type"] == refused["error"]["type"] == "TimeoutError"
    assert "cannot be interrupted" in stuck["error"]["message"]
    assert (stuck["cell"], refused["cell"], answer["cell"]) == (1, 1, 2)
    assert stuck["stdout"] == "before\n"
    assert answer["result_json"] == 2


async def test_the_app_can_be_unloaded_while_code_runs(start_app: StartApp) -> None:
    async with start_app("interpreter") as app:
        begun = threading.Event()
        app.instance._console.module.begun = begun  # type: ignore[attr-defined]
        calling = asyncio.ensure_future(run(app, "begun.set()\nwhile True:\n    pass"))
        assert await asyncio.to_thread(begun.wait, 10)
    assert (await calling)["error"]["message"] == "the session ends"
    assert "console" not in {thread.name for thread in threading.enumerate()}
