"""Whether an answer is as a scenario expects it, with what it says kept under names for later steps.

An expectation that is a mapping asks for its own keys only; a list for as many items, each as expected; anything else
for the same value. A mapping with one key that begins with `$` asks in another way: see `MATCHERS`.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tools.conformance.values import Mismatch, Variables, resolved

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_SHOWN = 300


def match(expected: Any, actual: Any, variables: Variables, where: str = "answer") -> None:
    """Compare, and keep what is to be kept. Raises Mismatch."""
    if isinstance(expected, dict) and len(expected) == 1 and (name := next(iter(expected))) in MATCHERS:
        MATCHERS[name](expected[name], actual, variables, where)
    elif isinstance(expected, dict):
        _match_mapping(expected, actual, variables, where)
    elif isinstance(expected, list):
        _match_list(expected, actual, variables, where)
    else:
        wanted = resolved(expected, variables)
        if isinstance(wanted, dict | list):
            _equal(wanted, actual, variables, where)
        elif not same(wanted, actual):
            raise Mismatch(f"{where} is {shown(actual)}, not {shown(wanted)}")


def same(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal: numbers by their value, but true is not 1."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def shown(value: Any) -> str:
    """Return a value as JSON, shortened."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def moment(value: Any, where: str) -> datetime:
    """Return a time that is written as RFC 3339 has it. Raises Mismatch."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise Mismatch(f"{where} is {shown(value)}, not a time as in RFC 3339")
    return datetime.fromisoformat(value)


def _match_mapping(expected: dict[str, Any], actual: Any, variables: Variables, where: str) -> None:
    if not isinstance(actual, dict):
        raise Mismatch(f"{where} is {shown(actual)}, not an object")
    for key, value in expected.items():
        match(value, actual.get(key), variables, f"{where}.{key}")


def _match_list(expected: list[Any], actual: Any, variables: Variables, where: str) -> None:
    if not isinstance(actual, list) or len(actual) != len(expected):
        raise Mismatch(f"{where} is {shown(actual)}, not a list of {len(expected)}")
    for position, value in enumerate(expected):
        match(value, actual[position], variables, f"{where}[{position}]")


def _equal(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    wanted = resolved(expected, variables)
    if not same(wanted, actual):
        raise Mismatch(f"{where} is {shown(actual)}, not exactly {shown(wanted)}")


def _keep(name: Any, actual: Any, variables: Variables, where: str) -> None:
    if actual is None:
        raise Mismatch(f"{where} is missing")
    variables[resolved(name, variables)] = actual


def _append(name: Any, actual: Any, variables: Variables, where: str) -> None:
    if actual is None:
        raise Mismatch(f"{where} is missing")
    variables.setdefault(name, []).append(actual)


def _keep_matching(arguments: Any, actual: Any, variables: Variables, where: str) -> None:
    name, expected = arguments
    match(expected, actual, variables, where)
    _keep(name, actual, variables, where)


def _json(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    if not isinstance(actual, str):
        raise Mismatch(f"{where} is {shown(actual)}, not JSON in a text")
    try:
        value = json.loads(actual)
    except ValueError as error:
        raise Mismatch(f"{where} is not JSON ({error}): {shown(actual)}") from None
    match(expected, value, variables, f"{where} (JSON)")


def _present(expected: Any, actual: Any, _: Variables, where: str) -> None:
    if (actual not in (None, "", [], {})) is not expected:
        raise Mismatch(f"{where} is {'missing' if expected else shown(actual)}")


def _regex(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    pattern = resolved(expected, variables)
    if not isinstance(actual, str) or not re.search(pattern, actual):
        raise Mismatch(f"{where} is {shown(actual)}, which does not match {pattern}")


def _between(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    low, high = resolved(expected, variables)
    if isinstance(actual, bool) or not isinstance(actual, int | float) or not low <= actual <= high:
        raise Mismatch(f"{where} is {shown(actual)}, not between {low} and {high}")


def _any_of(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    problems = []
    for each in expected:
        try:
            return match(each, actual, variables, where)
        except Mismatch as mismatch:
            problems.append(str(mismatch))
    raise Mismatch("; and ".join(problems))


def _not(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    try:
        match(expected, actual, variables, where)
    except Mismatch:
        return
    raise Mismatch(f"{where} is {shown(actual)}, which it must not be")


def _contains(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    if isinstance(actual, str):
        if resolved(expected, variables) not in actual:
            raise Mismatch(f"{where} is {shown(actual)}, without {shown(expected)}")
        return
    for each in expected if isinstance(expected, list) else [expected]:
        _any_item(each, actual, variables, where)


def _any_item(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    for item in actual or []:
        try:
            return match(expected, item, variables, where)
        except Mismatch:
            continue
    raise Mismatch(f"{where} is {shown(actual)}, without {shown(resolved(expected, variables))}")


def _length(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    if not isinstance(actual, list | str | dict):
        raise Mismatch(f"{where} is {shown(actual)}, which has no length")
    match(expected, len(actual), variables, f"the length of {where}")


def _distinct(name: Any, actual: Any, variables: Variables, where: str) -> None:
    seen = variables.setdefault(name, set())
    if not actual or actual in seen:
        raise Mismatch(f"{where} is {shown(actual)}, which is missing or was seen before")
    seen.add(actual)


def _seconds_after(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    start, low, high = resolved(expected, variables)
    seconds = (moment(actual, where) - moment(start, "the time to compare with")).total_seconds()
    if not low <= seconds <= high:
        raise Mismatch(f"{where} is {seconds} s after {start}, not {low} to {high} s")


def _same_moment(expected: Any, actual: Any, variables: Variables, where: str) -> None:
    if moment(actual, where) != moment(resolved(expected, variables), "the time to compare with"):
        raise Mismatch(f"{where} is {actual}, not {expected}")


MATCHERS: dict[str, Callable[[Any, Any, Variables, str], None]] = {
    "$as": _keep,  # is there; kept under this name
    "$append": _append,  # is there; added to the list of this name
    "$keep": _keep_matching,  # [name, expectation]: as expected, and kept
    "$json": _json,  # a text that holds JSON as expected
    "$equals": _equal,  # the same, with no other keys
    "$present": _present,  # true: not null and not empty; false: one of these
    "$regex": _regex,
    "$between": _between,  # [low, high], both included
    "$any_of": _any_of,
    "$not": _not,
    "$contains": _contains,  # a text inside of a text, or items of a list in any order
    "$length": _length,
    "$distinct": _distinct,  # differs from all that were compared under this name
    "$same_moment": _same_moment,
    "$seconds_after": _seconds_after,  # [time, low, high]
}
"""What a scenario may ask for. Also the list that the README is checked against."""
