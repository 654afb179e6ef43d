"""Variables of a scenario, and values that are too large or too odd to be written down."""

import re
from collections.abc import Callable
from typing import Any

Variables = dict[str, Any]

_REFERENCE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class Mismatch(Exception):
    """Something is not as the scenario has it; the message says where and how."""


def resolved(value: Any, variables: Variables) -> Any:
    """Return a value of a scenario with its variables and generators (see `GENERATORS`) filled in.

    A text that is one reference becomes the variable's value, whatever its type; inside of texts references become
    text. Raises Mismatch when nothing has that name yet.
    """
    if isinstance(value, str):
        return _filled_in(value, variables)
    if isinstance(value, list):
        return [resolved(item, variables) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and (name := next(iter(value))) in GENERATORS:
            return GENERATORS[name](resolved(value[name], variables))
        return {key: resolved(item, variables) for key, item in value.items()}
    return value


def _filled_in(text: str, variables: Variables) -> Any:
    def value_of(found: re.Match[str]) -> Any:
        name = found[1] or found[2]
        if name not in variables:
            raise Mismatch(f"nothing is known of ${name}")
        return variables[name]

    whole = _REFERENCE.fullmatch(text)
    return value_of(whole) if whole else _REFERENCE.sub(lambda found: str(value_of(found)), text)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


GENERATORS: dict[str, Callable[[Any], Any]] = {
    "$repeat": lambda given: given[0] * given[1],  # [text, times]
    "$range": lambda count: list(range(count)),
    "$nested": _nested,  # so many objects in each other
    "$nested_text": lambda levels: '{"a":' * levels + "1" + "}" * levels,  # the same as JSON text
}
"""What makes values in a scenario."""
