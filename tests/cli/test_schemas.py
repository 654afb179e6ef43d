"""JSON Schemas in few words."""

from typing import Any

import pytest

from gateway.cli.schemas import Property, properties_of, type_of

DEFINITIONS: dict[str, Any] = {
    "Any": {},
    "Name": {"type": "string"},
    "Point": {"type": "object", "properties": {}},
    "Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "integer"}, "integer"),
        ({}, "any"),
        (True, "any"),
        ({"type": "array"}, "any[]"),
        ({"type": "array", "items": {"type": "number"}}, "number[]"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"const": "a"}, '"a"'),
        ({"$ref": "#/$defs/Any"}, "any"),
        ({"$ref": "#/$defs/Name"}, "string"),
        ({"$ref": "#/$defs/Point"}, "Point"),
        ({"$ref": "#/$defs/Tree"}, "Tree"),
        ({"$ref": "#/$defs/Missing"}, "Missing"),
    ],
)
def test_types_are_written_in_the_usual_notation(part: Any, expected: str) -> None:
    assert type_of(part, {"$defs": DEFINITIONS}) == expected


def test_entries_tell_whether_they_are_needed_and_what_stands_for_them() -> None:
    schema = {
        "properties": {"a": {"type": "string", "description": "An a."}, "b": {"type": "integer", "default": 3}},
        "required": ["a"],
    }
    assert list(properties_of(schema)) == [
        Property("a", "string", True, "An a."),
        Property("b", "integer", False, "Default: 3."),
    ]
    assert list(properties_of({"type": "object"})) == []
