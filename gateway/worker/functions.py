"""What an app offers: its public methods, each with the type of its input and its schemas."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError

from sessiongateway.app import BaseApp

_ANY_OBJECT = json.dumps({"type": "object"})
_RAW_TYPES = (dict, Any, Mapping, inspect.Parameter.empty)


class AppDefinitionError(Exception):
    """The app's code cannot be offered; the text says which method and why."""


@dataclass(frozen=True, slots=True)
class Function:
    """One public method of an app. `adapter` checks its input; without one it gets a plain dict."""

    name: str
    description: str
    takes_input: bool
    adapter: TypeAdapter[Any] | None
    input_schema: str
    output_schema: str


def functions_of(app: type[BaseApp]) -> dict[str, Function]:
    """Return the functions of an app by name, in order of the names. Raises AppDefinitionError."""
    found = {}
    for name in sorted(dir(app)):
        method = getattr(app, name)
        if name.startswith("_") or hasattr(BaseApp, name) or not inspect.isroutine(method):
            continue
        found[name] = _function(name, method, inspect.getattr_static(app, name))
    return found


def _function(name: str, method: Callable[..., Any], declared: object) -> Function:
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise AppDefinitionError(f"{name}() is a generator; a function returns one answer")
    hints = _hints(name, method)
    parameter = _input_parameter(name, method, bound=isinstance(declared, staticmethod | classmethod))
    adapter = None
    if parameter is not None:
        adapter = _adapter(name, hints.get(parameter.name, parameter.annotation))
    output = hints.get("return")
    return Function(
        name=name,
        description=inspect.getdoc(method) or "",
        takes_input=parameter is not None,
        adapter=adapter,
        input_schema=_schema(adapter, "validation"),
        output_schema=_schema(_adapter(name, output), "serialization"),
    )


def _hints(name: str, method: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(method, include_extras=True)
    except (NameError, TypeError) as error:
        raise AppDefinitionError(f"{name}() has an annotation that cannot be resolved: {error}") from error


def _input_parameter(name: str, method: Callable[..., Any], *, bound: bool) -> inspect.Parameter | None:
    parameters = list(inspect.signature(method).parameters.values())[0 if bound else 1 :]
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY for p in needed):
        raise AppDefinitionError(f"{name}() must take nothing or one argument, its input")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return positional[0] if positional else None


def _adapter(name: str, annotation: Any) -> TypeAdapter[Any] | None:
    origin = getattr(annotation, "__origin__", annotation)
    arguments = getattr(annotation, "__args__", ())
    if annotation is None or annotation is type(None):
        return None
    if annotation in _RAW_TYPES or (origin in (dict, Mapping) and arguments in ((str, Any), (str, object))):
        return None
    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        why = str(error).partition("\n")[0]
        raise AppDefinitionError(f"{name}() has an annotation that is not for JSON: {annotation}: {why}") from error


def _schema(adapter: TypeAdapter[Any] | None, mode: Any) -> str:
    if adapter is None:
        return _ANY_OBJECT
    try:
        return json.dumps(adapter.json_schema(mode=mode))
    except PydanticUserError:
        # Such as a validator for a type that JSON Schema cannot express: callable all the same.
        return _ANY_OBJECT
