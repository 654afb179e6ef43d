"""Runs an example app the way a worker does: its directory first on sys.path, in a working directory of its own."""

import importlib.util
import inspect
import json
import sys
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sessiongateway.app import BaseApp, Result

EXAMPLES = Path(__file__).parents[2] / "examples"


class RunningApp:
    """One instance of an app, called with JSON and answering with JSON."""

    def __init__(self, instance: BaseApp) -> None:
        self.instance = instance

    async def call(self, function: str, input: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call a function. Raises pydantic.ValidationError for an input that its type refuses."""
        return _as_json(await _resolved(self._begin(function, input)))

    async def stream(self, function: str, input: dict[str, Any] | None = None) -> AsyncGenerator[dict[str, Any], None]:
        """Call an async generator, and yield what it yields, its result last."""
        async with aclosing(self._begin(function, input)) as outputs:
            async for output in outputs:
                if isinstance(output, Result):
                    yield _as_json(output.output)
                    return
                yield _as_json(output)

    def _begin(self, function: str, input: dict[str, Any] | None) -> Any:
        method = getattr(self.instance, function)
        parameters = list(inspect.signature(method).parameters)
        hints = typing.get_type_hints(method)
        arguments = [hints[name].model_validate_json(json.dumps(input or {})) for name in parameters]
        return method(*arguments)


StartApp = Callable[[str], AbstractAsyncContextManager[RunningApp]]


@pytest.fixture
def start_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartApp:
    """Start an example by its name, as `async with start_app("kv") as app`."""

    @asynccontextmanager
    async def start(name: str) -> AsyncIterator[RunningApp]:
        directory = EXAMPLES / name
        monkeypatch.chdir(tmp_path)
        modules_before = set(sys.modules)
        sys.path.insert(0, str(directory))
        try:
            instance: BaseApp = _load(directory / "app.py").App()
            await _resolved(instance.setup())
            try:
                yield RunningApp(instance)
            finally:
                await _resolved(instance.unload())
        finally:
            sys.path.remove(str(directory))
            for added in set(sys.modules) - modules_before:
                if str(getattr(sys.modules[added], "__file__", "")).startswith(str(directory)):
                    del sys.modules[added]

    return start


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{file.parent.name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _as_json(answer: Any) -> dict[str, Any]:
    return typing.cast("dict[str, Any]", json.loads(answer.model_dump_json()))


async def _resolved(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
