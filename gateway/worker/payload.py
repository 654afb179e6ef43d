"""From the bytes of a payload to a JSON object and back, without a change of meaning.

NaN and infinities are not JSON and are refused on the way in and out, rather than becoming null.
"""

import json
import re
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from gateway.worker.failures import refused
from sessiongateway.worker.v1 import worker_pb2 as pb

_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_MAYBE_NOT_JSON = (b"NaN", b"Infinity")


class NotJson(Exception):
    """A function returned what is not a JSON object; the text says what."""


def decode(payload: bytes, format: "pb.PayloadFormat.ValueType", adapter: TypeAdapter[Any] | None) -> Any:
    """Return the input of a function: a plain dict, or what the adapter makes of it.

    Raises CallRefused: MALFORMED when the payload is not a JSON object, INVALID_INPUT when the type refuses it.
    """
    if format == pb.PAYLOAD_FORMAT_STRUCT:
        payload = _json_of_struct(payload)
    elif not payload:
        payload = b"{}"
    if not _OBJECT.match(payload):
        raise _malformed("must be a JSON object")
    if adapter is None:
        return _parse(payload)
    if any(mark in payload for mark in _MAYBE_NOT_JSON):
        _parse(payload)  # pydantic's parser takes NaN, this one does not
    try:
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
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain)
        if format == pb.PAYLOAD_FORMAT_STRUCT:
            return json_format.Parse(text, struct_pb2.Struct()).SerializeToString()
    except (TypeError, ValueError, RecursionError, json_format.ParseError) as error:
        raise NotJson(str(error)) from error
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate: legal JSON, but only when it is escaped.
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    return to_jsonable_python(value, by_alias=True)


def _parse(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise _malformed("is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, integers of absurd length
        raise _malformed(f"is not valid JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json_of_struct(payload: bytes) -> bytes:
    try:
        tree = json_format.MessageToDict(struct_pb2.Struct.FromString(payload))
        return json.dumps(tree, allow_nan=False, ensure_ascii=False).encode()
    except (DecodeError, ValueError, RecursionError, json_format.Error) as error:
        raise _malformed(f"is not a JSON object: {error}") from None


def _malformed(what: str) -> Exception:
    return refused(pb.FAILURE_KIND_MALFORMED, what)


def _refusal(error: ValidationError) -> Exception:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return _malformed(problems[0]["msg"])
    violations = [pb.Violation(field=".".join(["input", *map(str, p["loc"])]), description=p["msg"]) for p in problems]
    return refused(pb.FAILURE_KIND_INVALID_INPUT, "the app refuses the input", violations)
