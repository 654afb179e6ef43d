"""One app in one process: import, construct, call, unload."""

import asyncio
import importlib.util
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import CoroutineType
from typing import Any

from gateway.worker import payload
from gateway.worker.failures import CallRefused, format_traceback, raised, refused
from gateway.worker.functions import AppDefinitionError, Function, functions_of
from gateway.worker.outcome import Outcome
from gateway.worker.streaming import exhaust, is_stream
from sessiongateway.app import BaseApp, _current
from sessiongateway.worker.v1 import worker_pb2 as pb

MODULE_NAME = "app"


def import_app(directory: Path) -> type[BaseApp]:
    """Import `app.py` of an app directory and return its class `App`.

    The directory comes first on `sys.path`, so that the app imports its own modules by their names. Raises
    AppDefinitionError, or whatever the app's code raises.
    """
    source = directory / "app.py"
    if not source.is_file():
        raise AppDefinitionError("the app directory has no app.py")
    sys.path.insert(0, str(directory))
    spec = importlib.util.spec_from_file_location(MODULE_NAME, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, as an import does: pydantic and pickle look the module up by its name.
    sys.modules[MODULE_NAME] = module
    spec.loader.exec_module(module)
    app = getattr(module, "App", None)
    if not (isinstance(app, type) and issubclass(app, BaseApp)):
        raise AppDefinitionError("app.py defines no class App(BaseApp)")
    return app


class AppHost:
    """An app's class, its functions and, once started, its instance. Runs on the event loop of one thread."""

    def __init__(self, app: type[BaseApp]) -> None:
        """Raises AppDefinitionError when a public method cannot be offered."""
        self._class = app
        self._instance: BaseApp | None = None
        self._functions = functions_of(app)

    @property
    def functions(self) -> Mapping[str, Function]:
        """The functions by name."""
        return self._functions

    async def start(self) -> None:
        """Construct the instance and run setup(). Raises whatever the app's code raises."""
        self._instance = self._class()
        await _maybe_await(self._instance.setup())

    async def answer(self, call: pb.Call, data: bytes, emit: Callable[[bytes], Awaitable[object]] | None) -> Outcome:
        """Run the function of a call to its end. `data` is its payload, and the call what `current_call()` tells of.

        A generator is run to its end too; each output that it yields goes to `emit`, which may make it wait. No output
        may have more than `call.max_output` bytes; 0: any. An app that exits, exits.
        """
        # In one piece: whatever else is touched on the way, in many workers in turn, has gone from every cache.
        begun = False
        try:
            function = self._functions.get(call.function)
            if function is None:
                raise refused(pb.FAILURE_KIND_NO_FUNCTION, f"the app has no function {call.function}")
            _current.set(call)
            format, max_output = call.format, call.max_output
            argument = payload.decode(data, format, function.adapter)
            begun = True
            method = getattr(self._instance, function.name)
            answer = method(argument) if function.takes_input else method()
            if type(answer) is CoroutineType:
                answer = await answer
            elif type(answer) is not dict:
                answer = await _maybe_await(answer)
            if type(answer) is not dict and is_stream(answer):
                answer = await exhaust(answer, partial(_encoded, format=format, max_output=max_output), emit)
            output = payload.encode(answer, format)
            return Outcome(payload.bounded(output, max_output) if max_output < len(output) else output)
        except CallRefused as refusal:
            return Outcome(failure=refusal.failure)
        except SystemExit as leaving:
            _leave(leaving)
            raise
        except BaseException as error:
            if not begun:
                return Outcome(failure=raised(error, pb.FAILURE_KIND_CHECK_RAISED))
            if not isinstance(error, asyncio.CancelledError):
                print("".join(format_traceback(error)), end="", file=sys.stderr)
            return Outcome(failure=failure_of(error))

    async def stop(self, end_reason: str = "") -> None:
        """Run on_end(), if a session has ended, then unload(), if the instance was constructed.

        unload() is run also when on_end() raises. Raises whatever the app's code raises.
        """
        if self._instance is None:
            return
        try:
            if end_reason:
                await _maybe_await(self._instance.on_end(end_reason))
        finally:
            await _maybe_await(self._instance.unload())


def _encoded(output: Any, format: "pb.PayloadFormat.ValueType", max_output: int) -> bytes:
    return payload.bounded(payload.encode(output, format), max_output)


def describe(host: AppHost) -> pb.Loaded:
    """Return what the app offers, as it is told to the gateway."""
    return pb.Loaded(
        functions=[
            pb.FunctionDescription(
                name=function.name,
                description=function.description,
                input_schema=function.input_schema,
                output_schema=function.output_schema,
                streams=function.streams,
                partial_schema=function.partial_schema,
            )
            for function in host.functions.values()
        ]
    )


def failure_of(error: BaseException) -> pb.Failure:
    """Return the failure of a call whose function was run, or of a start."""
    if isinstance(error, payload.NotJson):
        return pb.Failure(
            kind=pb.FAILURE_KIND_RAISED, type="TypeError", message=f"the answer is not a JSON object: {error}"
        )
    if isinstance(error, payload.TooLarge):
        return pb.Failure(kind=pb.FAILURE_KIND_RAISED, type="OutputTooLarge", message=str(error))
    return raised(error)


async def _maybe_await(value: Any) -> Any:
    if value is not None and inspect.isawaitable(value):
        return await value
    return value


def _leave(leaving: SystemExit) -> None:
    """Exit at once with the app's own code, as sys.exit() in a program of its own would."""
    code = leaving.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))
