"""JSON Schemas in few words, for a table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_SCALARS = ("string", "integer", "number", "boolean")


@dataclass(frozen=True, slots=True)
class Property:
    """One entry of an object."""

    name: str
    type: str
    required: bool
    description: str


def properties_of(schema: Schema) -> Iterator[Property]:
    """Yield the entries that an object's schema names. None for an object with any entries."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        yield Property(name, type_of(part, schema), name in required, _description(part))


def type_of(part: Any, root: Schema) -> str:
    """Return a type in the field's usual notation: `integer`, `string[]`, `string | null`, `"a" | "b"`."""
    if not isinstance(part, Mapping):
        return "any"
    kind = part.get("type", "any")
    if "$ref" in part:
        return _referred(part["$ref"], root)
    if alternatives := part.get("anyOf") or part.get("oneOf"):
        return " | ".join(dict.fromkeys(type_of(each, root) for each in alternatives))
    if "enum" in part or "const" in part:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in part.get("enum", [part.get("const")]))
    if kind == "array":
        inner = type_of(part.get("items"), root)
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _referred(reference: str, root: Schema) -> str:
    # Of what is made of parts the name, not the parts: a schema may refer to itself.
    name = reference.rpartition("/")[2]
    target = root.get("$defs", {}).get(name, name)
    if not target:
        return "any"
    return type_of(target, root) if isinstance(target, Mapping) and target.get("type") in _SCALARS else name


def _description(part: Any) -> str:
    if not isinstance(part, Mapping):
        return ""
    text = str(part.get("description", ""))
    if "default" in part:
        text += f" Default: {json.dumps(part['default'], ensure_ascii=False)}."
    return text.strip()
