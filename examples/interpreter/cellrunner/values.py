"""Describes the value of an expression in bounded space, whatever its class does to prevent that."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from cellrunner.bounded import LIMIT_BYTES, clipped
from cellrunner.interrupts import Interrupted

# An answer may travel as google.protobuf.Struct, whose parsers stop at a depth of 100 messages, three a level.
MAX_JSON_DEPTH = 30
MAX_REPR_DEPTH = 100
# Python refuses to print integers of more than 4,300 digits.
MAX_INTEGER_BITS = 14_000


@dataclass(frozen=True)
class Described:
    """A value: its class, its `repr`, and itself if it is JSON."""

    type: str
    repr: str
    json: JsonValue


class _FullError(Exception):
    pass


class _NotJsonError(Exception):
    pass


def described(value: object) -> Described:
    """Describe a value. `json` is None for what is not exactly JSON (a tuple, a NaN) or not small enough."""
    return Described(type=clipped(type_name(value)), repr=_bounded_repr(value), json=as_json(value))


def type_name(value: object) -> str:
    """Return the name of a value's class, with its module unless that is obvious."""
    cls = type(value)
    module = cls.__module__
    return cls.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{cls.__qualname__}"


def safe_text(render: object, value: object) -> str:
    """Apply `repr` or `str` to a value; if that fails, say so instead."""
    try:
        return render(value)  # type: ignore[operator, no-any-return]
    except Interrupted:
        raise
    except BaseException as error:  # noqa: BLE001  user code: it may raise anything, SystemExit too
        name = getattr(render, "__name__", "text")
        return f"<{type(value).__name__}: {name}() raised {type(error).__name__}>"


def as_json(value: object) -> JsonValue:
    """Copy a value that is JSON; None if it is not."""
    try:
        return _JsonCopy().copy(value, 0)
    except _NotJsonError:
        return None


def _bounded_repr(value: object) -> str:
    writer = _ReprWriter()
    try:
        writer.write(value)
    except _FullError:
        return clipped("".join(writer.parts)[:LIMIT_BYTES]) + "\n[... the rest is cut ...]"
    return clipped("".join(writer.parts))


class _JsonCopy:
    def __init__(self) -> None:
        self._room = LIMIT_BYTES

    def copy(self, value: object, depth: int) -> JsonValue:
        """Copy, by exact types only: a subclass may behave like anything."""
        self._spend(1)
        if value is None or value is True or value is False:
            return value
        if type(value) is str:
            return self._text(value)
        if type(value) is int and value.bit_length() <= MAX_INTEGER_BITS:
            self._spend(value.bit_length() // 3)
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if depth < MAX_JSON_DEPTH and type(value) is list:
            return [self.copy(item, depth + 1) for item in value]
        if depth < MAX_JSON_DEPTH and type(value) is dict:
            return {self._key(key): self.copy(item, depth + 1) for key, item in value.items()}
        raise _NotJsonError

    def _key(self, key: object) -> str:
        if type(key) is not str:
            raise _NotJsonError
        return self._text(key)

    def _text(self, text: str) -> str:
        self._spend(len(text))
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _NotJsonError from None
        return text

    def _spend(self, amount: int) -> None:
        self._room -= amount
        if self._room < 0:
            raise _NotJsonError


class _ReprWriter:
    """Writes what `repr` would, but stops when there is enough: `repr` of a large container takes all memory first."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._room = LIMIT_BYTES
        self._inside: set[int] = set()

    def write(self, value: object) -> None:
        cls = type(value)
        if cls is str or cls is bytes:
            self._emit(repr(value[:LIMIT_BYTES]))  # type: ignore[index]
        elif cls not in (list, tuple, dict, set, frozenset):
            self._emit(safe_text(repr, value))
        elif id(value) in self._inside or len(self._inside) >= MAX_REPR_DEPTH:
            self._emit({list: "[...]", dict: "{...}", tuple: "(...)"}.get(cls, f"{cls.__name__}(...)"))
        else:
            self._inside.add(id(value))
            self._container(value)
            self._inside.discard(id(value))

    def _container(self, value: object) -> None:
        match value:
            case list():
                self._items("[", value, "]")
            case tuple():
                self._items("(", value, ",)" if len(value) == 1 else ")")
            case dict():
                self._entries(value)
            case set() | frozenset() if not value:
                self._emit(repr(value))
            case set():
                self._items("{", value, "}")
            case frozenset():
                self._items("frozenset({", value, "})")

    def _items(self, opening: str, items: Iterable[object], closing: str) -> None:
        self._emit(opening)
        for index, item in enumerate(items):
            self._emit(", " if index else "")
            self.write(item)
        self._emit(closing)

    def _entries(self, entries: dict[object, object]) -> None:
        self._emit("{")
        for index, (key, item) in enumerate(entries.items()):
            self._emit(", " if index else "")
            self.write(key)
            self._emit(": ")
            self.write(item)
        self._emit("}")

    def _emit(self, text: str) -> None:
        self.parts.append(text)
        self._room -= len(text)
        if self._room < 0:
            raise _FullError
