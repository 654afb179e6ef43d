"""What is wrong with a value, in the words of somebody who writes a configuration."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

_LONGEST = 60
"""Characters of a wrong value that are shown."""

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number, and not infinite",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "dict": "a table",
    "list": "an array",
}
"""By the beginning of pydantic's name of an error."""

_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def explain(error: ErrorDetails) -> str:
    """Return what a value must be, and what it is."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _one_of(str(context["expected"]), error["input"])
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]:g}, not {shown(error['input'])}"
    if kind == "string_too_short":
        return "must not be empty"
    wanted = _KINDS.get(kind.partition("_")[0])
    return f"must be {wanted}, not {shown(error['input'])}" if wanted else f"{shown(error['input'])} cannot be used"


def truth_for_number(value: object) -> str:
    """Return what is wrong with true or false where a number is wanted, which Python would take for 1 or 0."""
    return f"must be a number, not {shown(value)}"


def shown(value: object) -> str:
    """Return a wrong value as it would be written, or what it is."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, str | int | float):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return str(value)


def _one_of(expected: str, value: Any) -> str:
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    similar = get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    return f"must be {', '.join(choices[:-1])} or {choices[-1]}, not {shown(value)}{hint}"
