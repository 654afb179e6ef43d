"""One app in one process: import, construct, call, unload. Also what `sgw app test` uses, without a server."""

import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import CoroutineType
from typing import Any

from gateway.worker import payload
from gateway.worker.failures import CallRefused, raised, refused
from gateway.worker.functions import AppDefinitionError, Function, functions_of
from gateway.worker.streaming import exhaust, is_stream
from sessiongateway.app import BaseApp, CallContext, _current
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

    async def call(
        self,
        name: str,
        data: bytes,
        format: "pb.PayloadFormat.ValueType",
        *,
        context: CallContext | None = None,
        emit: Callable[[bytes], Awaitable[object]] | None = None,
        max_output: int = 0,
    ) -> bytes:
        """Run one function and return its output. `context` is what `current_call()` gives it.

        A generator is run to its end; each output that it yields goes to `emit`, which may make it wait. No output may
        have more than `max_output` bytes; 0: any.

        Raises CallRefused when it was not run, `payload.NotJson` and `payload.TooLarge` when its answer cannot be
        sent, and whatever the app's code raises, CancelledError included.
        """
        function = self._functions.get(name)
        if function is None:
            raise refused(pb.FAILURE_KIND_NO_FUNCTION, f"the app has no function {name}")
        if context is not None:
            _current.set(context)
        argument = _checked(function, data, format)
        method = getattr(self._instance, name)
        answer = method(argument) if function.takes_input else method()
        if type(answer) is CoroutineType:
            answer = await answer
        elif type(answer) is not dict:
            answer = await _maybe_await(answer)
        if type(answer) is not dict and is_stream(answer):
            answer = await exhaust(answer, partial(_encoded, format=format, max_output=max_output), emit)
        return _encoded(answer, format, max_output)

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


def _checked(function: Function, data: bytes, format: "pb.PayloadFormat.ValueType") -> Any:
    """Return the input of a function. Raises CallRefused, also when the app's own check of it raises: whatever that
    was, the function has not begun.
    """
    try:
        return payload.decode(data, format, function.adapter)
    except (CallRefused, SystemExit):
        raise
    except BaseException as error:
        raise CallRefused(raised(error, pb.FAILURE_KIND_CHECK_RAISED)) from error


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
