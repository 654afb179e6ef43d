"""`sgw app test`."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from gateway.cli.connection import json_option
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from gateway.cli.local_app import directory_argument, load_app, of_domain, pool
from gateway.cli.output import write_json
from gateway.cli.problems import CommandFailed, Problem
from gateway.config import ServerSettings
from gateway.errors import GatewayError
from gateway.model import AppVersion, new_session_id
from gateway.worker_settings import WorkerSettings
from gateway.workers.base import Worker, WorkerCall
from gateway.workers.local import LocalPool
from gateway.workers.partials import Partials

_KEYS = {"function", "input"}


@click.command(
    "test",
    epilog=examples(
        "sgw app test examples/kv calls.jsonl",
        'echo \'{"function": "set_value", "input": {"key": "a", "value": 1}}\' | sgw app test examples/kv',
    ),
)
@directory_argument
@click.argument("calls", metavar="[FILE]", type=click.File(encoding="utf-8", errors="surrogateescape"), default="-")
@json_option
def test(directory: Path, calls: IO[str], as_json: bool) -> int:
    """Play calls on one instance of the app in DIR, without a gateway.

    FILE, or standard input, has one call a line: {"function": "name", "input": {...}}, both optional. Each is
    answered with one line of JSON: its output, or its error with the code that a gateway would give. Partial outputs
    of a generator come in lines of their own before that one. What the app prints goes to standard error. The app runs
    in a worker process of its own, as in a session: in a temporary directory, and with none of this shell's variables
    but PATH, locale and the like.
    """
    app = load_app(directory)
    if calls.isatty() and not as_json:
        click.echo('one call a line, such as {"function": "run", "input": {}}; Ctrl-D ends', err=True)
    with asyncio.Runner() as runner, _instance(runner, app) as instance:
        failures = [problem for number, text in _lines(calls) if (problem := _play(runner, instance, number, text))]
    return failures[0].exit if failures else Exit.OK


class Instance:
    """One instance of the app, until its process dies."""

    def __init__(self, app: AppVersion, worker: Worker, session_id: str) -> None:
        self._app = app
        self._worker = worker
        self._session_id = session_id

    async def call(self, function: str, payload: bytes, show: Callable[[Any], None]) -> Any:
        """Show partial outputs as they come, and return the output. Raises CommandFailed."""
        if self._worker.exit is not None:
            raise CommandFailed(Problem("SESSION_ENDED", "the worker died in an earlier call", "not_started"))
        name = function or self._app.default_function or "run"
        partials = Partials()
        call = WorkerCall(
            name,
            payload,
            session_id=self._session_id,
            epoch=1,
            max_output=ServerSettings().max_output_bytes,
            partials=partials,
        )
        try:
            reply = self._worker.call(call).reply
            reply.add_done_callback(lambda _: partials.finish())
            async for partial in partials:
                show(json.loads(partial))
            return json.loads(await reply)
        except GatewayError as error:
            raise CommandFailed(of_domain(error)) from error


@contextlib.contextmanager
def _instance(runner: asyncio.Runner, app: AppVersion) -> Iterator[Instance]:
    """Start the app. Raises CommandFailed.

    Not a coroutine, since lines are read between calls: Ctrl-C at a prompt must find nothing that waits for a thread.
    """
    workers = pool()
    started = runner.run(_enter(workers))
    try:
        yield runner.run(_lease(started, app))
    finally:
        runner.run(_leave(workers))


async def _enter(workers: contextlib.AbstractAsyncContextManager[LocalPool]) -> LocalPool:
    return await workers.__aenter__()


async def _leave(workers: contextlib.AbstractAsyncContextManager[LocalPool]) -> None:
    await workers.__aexit__(None, None, None)


async def _lease(workers: LocalPool, app: AppVersion) -> Instance:
    session_id = new_session_id()
    try:
        worker = await workers.lease(app, session_id, 1, timeout=WorkerSettings().start_timeout)
    except GatewayError as error:
        raise CommandFailed(of_domain(error)) from error
    return Instance(app, worker, session_id)


def _lines(calls: IO[str]) -> Iterator[tuple[int, str]]:
    for number, text in enumerate(calls, 1):
        if text.strip():
            yield number, text


def _play(runner: asyncio.Runner, instance: Instance, number: int, text: str) -> Problem | None:
    """Make one call, write its answer, and return what went wrong."""
    answer: dict[str, Any] = {"line": number}
    problem = None
    try:
        function, payload = _parse(text)
        answer["function"] = function or None
        answer["output"] = runner.run(
            instance.call(function, payload, lambda partial: write_json({**answer, "partial": partial}, indent=None))
        )
    except CommandFailed as failed:
        problem = failed.problem
        answer["error"] = problem.bare_document()
    write_json(answer, indent=None)
    sys.stderr.flush()
    return problem


def _parse(text: str) -> tuple[str, bytes]:
    """Return the function, "" if none is named, and the input. Raises CommandFailed."""
    try:
        call = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"the line is not JSON: {error}") from error
    if not isinstance(call, dict):
        raise _refusal('a line must be an object, {"function": ..., "input": {...}}')
    if unknown := call.keys() - _KEYS:
        raise _refusal(f"a line has `function` and `input`, but not {', '.join(sorted(unknown))}")
    function = call.get("function") or ""
    if not isinstance(function, str):
        raise _refusal("`function` must be a string")
    # Sent as it is: what is no object, or no JSON, is for the worker to refuse, in the gateway's words.
    return function, json.dumps(call.get("input", {})).encode()


def _refusal(message: str) -> CommandFailed:
    return CommandFailed(Problem("INVALID_REQUEST", message, "not_started"))
