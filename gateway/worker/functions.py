"""What an app offers: its public methods, each with the type of its input and its schemas.

pydantic is loaded for the first type that is more than an object: workers of an app that has none are forked from a
process without it, which has a quarter less memory to share.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from sessiongateway.app import BaseApp, Result

if TYPE_CHECKING:
    from pydantic import TypeAdapter

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
    adapter: "TypeAdapter[Any] | None"
    input_schema: str
    output_schema: str
    streams: bool = False
    partial_schema: str = ""


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
    streams = inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method)
    hints = _hints(name, method)
    parameter = _input_parameter(name, method, bound=isinstance(declared, staticmethod | classmethod))
    adapter = None
    if parameter is not None:
        adapter = _adapter(name, hints.get(parameter.name, parameter.annotation))
    output, partial = hints.get("return"), None
    if streams:
        output, partial = _streamed(output)
    return Function(
        name=name,
        description=inspect.getdoc(method) or "",
        takes_input=parameter is not None,
        adapter=adapter,
        input_schema=_schema(adapter, "validation"),
        output_schema=_schema(_adapter(name, output), "serialization"),
        streams=streams,
        partial_schema=_schema(_adapter(name, partial), "serialization") if streams else "",
    )


def _streamed(annotation: Any) -> tuple[Any, Any]:
    """Return what a generator ends with and what it yields, as its annotation tells: `Iterator[Y]`,
    `Generator[Y, S, R]`, `AsyncIterator[Y | Result[R]]` and the like.
    """
    arguments = get_args(annotation)
    yielded = arguments[0] if arguments else Any
    output = arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004  # yields, is sent, returns
    alternatives = get_args(yielded) if get_origin(yielded) in (Union, UnionType) else (yielded,)
    partials = []
    for alternative in alternatives:
        if alternative is Result or get_origin(alternative) is Result:
            output = next(iter(get_args(alternative)), Any)
        else:
            partials.append(alternative)
    return output, Union[tuple(partials)] if partials else Any  # noqa: UP007  # made of values, not written


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


def _adapter(name: str, annotation: Any) -> "TypeAdapter[Any] | None":
    origin = getattr(annotation, "__origin__", annotation)
    arguments = getattr(annotation, "__args__", ())
    if annotation is None or annotation is type(None):
        return None
    if annotation in _RAW_TYPES or (origin in (dict, Mapping) and arguments in ((str, Any), (str, object))):
        return None
    from pydantic import PydanticUserError, TypeAdapter  # noqa: PLC0415  # see above

    try:
        return TypeAdapter(annotation)
    except PydanticUserError as error:
        why = str(error).partition("\n")[0]
        raise AppDefinitionError(f"{name}() has an annotation that is not for JSON: {annotation}: {why}") from error


def _schema(adapter: "TypeAdapter[Any] | None", mode: Any) -> str:
    if adapter is None:
        return _ANY_OBJECT
    from pydantic import PydanticUserError  # noqa: PLC0415  # see above

    try:
        return json.dumps(adapter.json_schema(mode=mode))
    except PydanticUserError:
        # Such as a validator for a type that JSON Schema cannot express: callable all the same.
        return _ANY_OBJECT
