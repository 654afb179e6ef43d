"""What counts as an answer that is as expected."""

from typing import Any

import pytest

from tools.conformance.matching import match
from tools.conformance.values import Mismatch, Variables, resolved

MATCHING: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"b": None}, {"a": 1}),
    ([1, {"a": "x"}], [1, {"a": "x", "b": 2}]),
    (1, 1.0),
    ({"$equals": {"a": [1]}}, {"a": [1]}),
    ({"$json": {"n": 9007199254740993}}, '{"n": 9007199254740993, "m": 0}'),
    ({"$present": True}, "x"),
    ({"$present": False}, None),
    ({"$regex": "^ab"}, "abc"),
    ({"$between": [1, 2]}, 1.5),
    ({"$any_of": [1, None]}, None),
    ({"$not": 1}, 2),
    ({"$contains": "b"}, "abc"),
    ({"$contains": [{"a": 2}, {"a": 1}]}, [{"a": 1}, {"a": 2}, {"a": 3}]),
    ({"$length": 2}, [1, 2]),
    ({"$length": {"$between": [1, 3]}}, "ab"),
    ({"$seconds_after": ["2026-01-01T00:00:00Z", 1, 2]}, "2026-01-01T00:00:01.500000000+00:00"),
    ({"$same_moment": "2026-01-01T01:00:00+01:00"}, "2026-01-01T00:00:00Z"),
    ({"$keep": ["x", {"$between": [1, 2]}]}, 2),
]

DIFFERENT: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, None),
    ([1], [1, 2]),
    (1, True),
    (1, "1"),
    (None, ""),
    ({"$equals": {"a": 1}}, {"a": 1, "b": 2}),
    ({"$equals": [True]}, [1]),
    ({"$json": {"n": 9007199254740993}}, '{"n": 9007199254740992}'),
    ({"$json": {"n": 9007199254740993}}, '{"n": 9007199254740992.0}'),
    ({"$json": {}}, "{"),
    ({"$json": {}}, {}),
    ({"$present": True}, ""),
    ({"$present": False}, 0),
    ({"$regex": "^ab"}, "cab"),
    ({"$between": [1, 2]}, 3),
    ({"$between": [0, 2]}, True),
    ({"$any_of": [1, 2]}, 3),
    ({"$not": 1}, 1),
    ({"$contains": "d"}, "abc"),
    ({"$contains": [{"a": 4}]}, [{"a": 1}]),
    ({"$length": 2}, [1]),
    ({"$length": 0}, None),
    ({"$seconds_after": ["2026-01-01T00:00:00Z", 1, 2]}, "2026-01-01T00:00:03Z"),
    ({"$seconds_after": ["2026-01-01T00:00:00Z", 0, 2]}, "2026-01-01 00:00:01"),
    ({"$same_moment": "2026-01-01T00:00:00Z"}, "2026-01-01T00:00:00.001Z"),
    ({"$as": "x"}, None),
    ("$nobody", "x"),
]


@pytest.mark.parametrize(("expected", "actual"), MATCHING)
def test_an_answer_that_is_as_expected_matches(expected: Any, actual: Any) -> None:
    match(expected, actual, {})


@pytest.mark.parametrize(("expected", "actual"), DIFFERENT)
def test_an_answer_that_is_not_as_expected_does_not(expected: Any, actual: Any) -> None:
    with pytest.raises(Mismatch):
        match(expected, actual, {})


def test_what_is_kept_is_known_to_everything_that_is_compared_later() -> None:
    known: Variables = {}
    match({"id": {"$as": "s"}, "ids": {"$append": "all"}, "same": "$s"}, {"id": "x", "ids": 1, "same": "x"}, known)
    match({"$append": "all"}, 2, known)
    assert known == {"s": "x", "all": [1, 2]}
    with pytest.raises(Mismatch, match='id is "y", not "x"'):
        match({"id": "$s"}, {"id": "y"}, known)


def test_what_was_compared_under_a_name_may_not_come_again() -> None:
    known: Variables = {}
    match({"$distinct": "ids"}, "a", known)
    match({"$distinct": "ids"}, "b", known)
    with pytest.raises(Mismatch):
        match({"$distinct": "ids"}, "a", known)


def test_variables_and_generators_are_filled_in() -> None:
    known: Variables = {"n": 7, "list": [1]}
    given = {"whole": "$n", "inside": "error.${n}", "list": "$list", "text": {"$repeat": ["ab", 2]}}
    assert resolved(given, known) == {"whole": 7, "inside": "error.7", "list": [1], "text": "abab"}
    assert resolved([{"$range": 2}, {"$nested": 2}, {"$nested_text": 2}], {}) == [
        [0, 1],
        {"a": {"a": 1}},
        '{"a":{"a":1}}',
    ]
