"""From the bytes of a payload to a JSON object and back, without a change of meaning.

NaN and infinities are not JSON and are refused on the way in and out, rather than becoming null.
"""

import contextlib
import json
import math
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError
from pydantic_core import ValidationError, from_json, to_json, to_jsonable_python

from gateway.worker.failures import refused
from sessiongateway.worker.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_SHAPE = bytes(48 if chr(c) in "0123456789" else 101 if chr(c) in "eE" else 32 for c in range(256))
"""Makes every digit a 0, both letters of an exponent an e, and the rest spaces."""
_LARGE_EXPONENT, _MANY_DIGITS = b"e000", b"0" * 309

_LARGEST_WHOLE = 2.0**53
"""Up to here every whole number is a double."""

_SIMPLE = frozenset((str, bool, type(None)))
"""What pydantic's parser and writer, which are faster and less exact at the edges, treat as the others do."""

_FEW, _FLAT = 16, 4
"""How many fields an object may have, and how deep it may be, to be looked at before it is written: for more than that
the look would take longer than it saves."""


class NotJson(Exception):
    """A function returned what is not a JSON object; the text says what."""


class _NotFinite(ValueError):
    """An input has what is no number of JSON, or one that no float can hold; the text says which."""


class TooLarge(Exception):
    """A function returned or yielded more than is passed on; the text says how much."""


def _plain(value: Any) -> Any:
    return to_jsonable_python(value, by_alias=True)


def _refuse_constant(name: str) -> None:
    raise _NotFinite(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NotFinite(f"{text[:32]} is too large a number")
    return number


# Made once: json.loads() and json.dumps() make such an object for each call that has options.
_ANY = json.JSONDecoder(parse_constant=_refuse_constant)
_FINITE = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_TEXT = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain)
_ASCII = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain)


def decode(payload: bytes, format: "pb.PayloadFormat.ValueType", adapter: "TypeAdapter[Any] | None") -> Any:
    """Return the input of a function: a plain dict, or what the adapter makes of it.

    Raises CallRefused: MALFORMED when the payload is not a JSON object, INVALID_INPUT when the type refuses it.
    """
    if format == pb.PAYLOAD_FORMAT_STRUCT:
        payload = _json_of_struct(payload)
    elif not payload:
        payload = b"{}"
    if adapter is None and (tree := _parse_quickly(payload)) is not None:
        return tree
    if not _OBJECT.match(payload):
        raise _malformed("must be a JSON object")
    if adapter is None:
        return _parse(payload)
    tree = None
    if b"NaN" in payload or b"Infinity" in payload or _may_overflow(payload):
        tree = _parse(payload)
    try:
        if _has_huge_integer(tree):
            # Which pydantic's own parser would make an infinity of where a float is wanted.
            return adapter.validate_python(tree)
        return adapter.validate_json(payload)
    except ValidationError as error:
        raise _refusal(error) from None


def encode(value: Any, format: "pb.PayloadFormat.ValueType") -> bytes:
    """Return a function's answer in the form that was asked for. None is the empty object. Raises NotJson."""
    value = {} if value is None else value
    try:
        if not isinstance(value, dict):
            value = to_jsonable_python(value, by_alias=True)
        if not isinstance(value, dict):
            raise NotJson(f"a function returns an object (a dict, a model or None), not {type(value).__name__}")
        if format == pb.PAYLOAD_FORMAT_JSON and _has_one_form(value, _FLAT):
            with contextlib.suppress(ValueError):  # a lone surrogate
                return to_json(value)
        text = _TEXT.encode(value)
        if format == pb.PAYLOAD_FORMAT_STRUCT:
            return _encode_struct(text)
    except (TypeError, ValueError, RecursionError, json_format.ParseError, DecodeError) as error:
        raise NotJson(str(error)) from error
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate: legal JSON, but only when it is escaped.
        return _ASCII.encode(value).encode()


def bounded(output: bytes, limit: int) -> bytes:
    """Return an output that has at most `limit` bytes (0: any). Raises TooLarge."""
    if limit and len(output) > limit:
        raise TooLarge(f"the answer is {len(output)} bytes; this gateway passes on at most {limit}")
    return output


def _encode_struct(text: str) -> bytes:
    message = json_format.Parse(text, struct_pb2.Struct())
    # No reader takes more than 100 messages in each other, and the answer at the end of a stream has two around it, as
    # the value in a list has.
    wrapped = struct_pb2.ListValue(values=[struct_pb2.Value(struct_value=message)])
    try:
        struct_pb2.ListValue.FromString(wrapped.SerializeToString())
    except DecodeError:
        raise ValueError("its objects and lists are nested too deeply for a Struct") from None
    return message.SerializeToString()


def _parse_quickly(payload: bytes) -> Any:
    """Return an object as `_parse()` would, in a fraction of the time. None for what that may take in another way, and
    for all that is wrong: then that decides.
    """
    try:
        tree = from_json(payload, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return None
    return tree if type(tree) is dict and _is_finite(tree.values()) else None


def _is_finite(values: Iterable[Any]) -> bool:
    """Whether no number in parsed values is an infinity: one that was too large for a float."""
    for each in values:
        kind = type(each)
        if kind in _SIMPLE or kind is int:
            continue
        if kind is float:
            if math.isinf(each):
                return False
        elif not _is_finite(each if kind is list else each.values()):
            return False
    return True


def _has_one_form(value: dict[Any, Any] | list[Any], depth: int) -> bool:
    """Whether what is to be written is small, and has but one form in JSON."""
    if len(value) > _FEW or not depth:
        return False
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
        values: Iterable[Any] = value.values()
    else:
        values = value
    for each in values:
        kind = type(each)
        if kind in _SIMPLE:
            continue
        if kind is int:
            if not -_LARGEST_WHOLE <= each <= _LARGEST_WHOLE:
                return False
        elif not ((kind is dict or kind is list) and _has_one_form(each, depth - 1)):
            return False
    return True


def _parse(payload: bytes) -> Any:
    try:
        return (_FINITE if _may_overflow(payload) else _ANY).decode(payload.decode())
    except RecursionError:
        raise _malformed("is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError, _NotFinite) as error:
        raise _malformed(f"is not valid JSON: {error}") from None
    except ValueError:
        raise _malformed(f"has a whole number of more than {sys.get_int_max_str_digits()} digits") from None


def _may_overflow(payload: bytes) -> bool:
    """Whether there may be a number beyond those that a float can hold, which parsers take for an infinity.

    Without a regular expression, which takes 20 to 40 ms for a megabyte; this takes one.
    """
    shape = payload.translate(_SHAPE, b"+")
    return _LARGE_EXPONENT in shape or _MANY_DIGITS in shape


def _has_huge_integer(tree: Any) -> bool:
    """Whether there is a whole number in it that no float can hold."""
    left = [tree]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, int) and abs(value) > sys.float_info.max:
            return True
    return False


def _json_of_struct(payload: bytes) -> bytes:
    try:
        tree = _whole(json_format.MessageToDict(struct_pb2.Struct.FromString(payload)))
        return json.dumps(tree, allow_nan=False, ensure_ascii=False).encode()
    except (DecodeError, ValueError, RecursionError, json_format.Error) as error:
        raise _malformed(f"is not a JSON object: {error}") from None


def _whole(value: Any) -> Any:
    """Return the tree with whole numbers as integers: a Struct has doubles only, but who writes 3 means 3."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_WHOLE and not _is_minus_zero(value):
        return int(value)
    return value


def _is_minus_zero(value: float) -> bool:
    return value == 0 and math.copysign(1, value) < 0


def _malformed(what: str) -> Exception:
    return refused(pb.FAILURE_KIND_MALFORMED, what)


def _refusal(error: ValidationError) -> Exception:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return _malformed(problems[0]["msg"])
    violations = [pb.Violation(field=".".join(["input", *map(str, p["loc"])]), description=p["msg"]) for p in problems]
    return refused(pb.FAILURE_KIND_INVALID_INPUT, "the app refuses the input", violations)
