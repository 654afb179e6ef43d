"""Payloads: from bytes to a JSON object and back, without a change of meaning."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from pydantic import BaseModel, Field, TypeAdapter

from gateway.worker import payload
from gateway.worker.failures import CallRefused
from gateway.worker.payload import NotJson
from sessiongateway.worker.v1 import worker_pb2 as pb

JSON, STRUCT = pb.PAYLOAD_FORMAT_JSON, pb.PAYLOAD_FORMAT_STRUCT
BIG = 2**53 + 1
DEEP = 100_000


class Item(BaseModel):
    """A part of a typed input."""

    key: str
    size: int = Field(ge=0)


class Order(BaseModel):
    """A typed input."""

    items: list[Item]
    ratio: float = 1.0


ORDER: TypeAdapter[Any] = TypeAdapter(Order)


def struct(value: dict[str, Any]) -> bytes:
    return bytes(json_format.ParseDict(value, struct_pb2.Struct()).SerializeToString(deterministic=True))


def refusal(data: bytes, format: Any = JSON, adapter: TypeAdapter[Any] | None = None) -> pb.Failure:
    with pytest.raises(CallRefused) as caught:
        payload.decode(data, format, adapter)
    return caught.value.failure


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": None, "b": [1, 2.5, "x", True, {"c": []}]},
        {"big": BIG, "bigger": 10**100, "negative": -BIG},
        {"text": "ä€😀\u2028", "": "empty key"},
        {"1": {"2": {"3": [[[]]]}}},
    ],
)
def test_a_json_object_comes_and_goes_unchanged(value: dict[str, Any]) -> None:
    data = json.dumps(value).encode()
    assert payload.decode(data, JSON, None) == value
    assert json.loads(payload.encode(value, JSON)) == value


@pytest.mark.parametrize("value", [{}, {"a": None, "b": [1.0, "x", True, {"c": []}]}, {"ä": "€"}])
def test_a_struct_comes_and_goes_unchanged(value: dict[str, Any]) -> None:
    assert payload.decode(struct(value), STRUCT, None) == value
    assert json_format.MessageToDict(struct_pb2.Struct.FromString(payload.encode(value, STRUCT))) == value


def test_whole_numbers_of_a_struct_fit_an_input_that_wants_integers() -> None:
    order = payload.decode(struct({"items": [{"key": "k", "size": 3}]}), STRUCT, ORDER)
    assert order == Order(items=[Item(key="k", size=3)])


def test_no_payload_at_all_is_the_empty_object() -> None:
    assert payload.decode(b"", JSON, None) == {}
    assert payload.decode(b"", STRUCT, None) == {}


@pytest.mark.parametrize("white", [b" ", b"\n\t\r "])
def test_white_space_around_an_object_is_fine(white: bytes) -> None:
    assert payload.decode(white + b"{}" + white, JSON, None) == {}


@pytest.mark.parametrize("adapter", [None, ORDER])
@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"true",
        b" ",
        b"{",
        b"{}}",
        b'{"items": [}',
        b"{'items': []}",
        b'{"items": [], "ratio": NaN}',
        b'{"items": [], "ratio": Infinity}',
        b'{"items": [], "ratio": -Infinity}',
        b'{"items": ["\xff"]}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"items": [], "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"x":' * DEEP + b"1" + b"}" * DEEP,
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_not_a_json_object_is_malformed(data: bytes, adapter: TypeAdapter[Any] | None) -> None:
    failure = refusal(data, JSON, adapter)
    assert failure.kind == pb.FAILURE_KIND_MALFORMED
    assert 0 < len(failure.message) < 2000


def test_nan_in_a_text_is_only_a_text() -> None:
    data = b'{"items": [{"key": "NaN and Infinity", "size": 1}]}'
    assert payload.decode(data, JSON, ORDER).items[0].key == "NaN and Infinity"


def test_an_integer_of_absurd_length_is_malformed_and_no_crash() -> None:
    assert refusal(b'{"x": ' + b"9" * 10_000 + b"}").kind == pb.FAILURE_KIND_MALFORMED


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_struct_with_what_is_no_number_of_json_is_malformed(number: float) -> None:
    message = struct_pb2.Struct()
    message.fields["x"].number_value = number
    assert refusal(message.SerializeToString(), STRUCT).kind == pb.FAILURE_KIND_MALFORMED


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"{}", b"\x0a\x05abc"])
def test_bytes_that_are_no_struct_are_malformed(data: bytes) -> None:
    assert refusal(data, STRUCT).kind == pb.FAILURE_KIND_MALFORMED


def test_a_struct_value_that_is_not_set_is_null() -> None:
    message = struct_pb2.Struct()
    message.fields["x"].SetInParent()
    assert payload.decode(message.SerializeToString(), STRUCT, None) == {"x": None}


def test_an_input_that_its_type_refuses_names_each_place() -> None:
    failure = refusal(b'{"items": [{"key": 1, "size": -1}, {"key": "k"}], "ratio": "x"}', JSON, ORDER)
    assert failure.kind == pb.FAILURE_KIND_INVALID_INPUT
    assert [violation.field for violation in failure.violations] == [
        "input.items.0.key",
        "input.items.0.size",
        "input.items.1.size",
        "input.ratio",
    ]
    assert all(violation.description for violation in failure.violations)


def test_a_refusal_does_not_repeat_the_input() -> None:
    failure = refusal(b'{"items": "a secret of the caller"}', JSON, ORDER)
    assert b"secret" not in failure.SerializeToString()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        (Item(key="k", size=1), {"key": "k", "size": 1}),
        ({"item": Item(key="k", size=1)}, {"item": {"key": "k", "size": 1}}),
        ({"when": datetime(2024, 1, 2, tzinfo=UTC)}, {"when": "2024-01-02T00:00:00Z"}),
        ({"set": {1}, "tuple": (1, 2)}, {"set": [1], "tuple": [1, 2]}),
    ],
)
def test_models_and_plain_values_become_json(value: object, expected: dict[str, Any]) -> None:
    assert json.loads(payload.encode(value, JSON)) == expected
    assert payload.decode(payload.encode(value, STRUCT), STRUCT, None) == expected


def recursive() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"x": value}
    return value


@pytest.mark.parametrize("format", [JSON, STRUCT])
@pytest.mark.parametrize(
    "value",
    [
        1,
        "text",
        [],
        True,
        b"bytes",
        {"x": float("nan")},
        {"x": float("inf")},
        {"x": object()},
        {"x": lambda: None},
        {(1, 2): "key"},
        recursive(),
        nested(DEEP // 10),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_an_answer_that_is_not_a_json_object_is_told(value: object, format: Any) -> None:
    with pytest.raises(NotJson) as caught:
        payload.encode(value, format)
    assert len(str(caught.value)) > 0


def test_a_lone_surrogate_survives_as_json_and_is_told_as_struct() -> None:
    value = {"x": "\ud800"}
    assert json.loads(payload.encode(value, JSON)) == value
    with pytest.raises(NotJson):
        payload.encode(value, STRUCT)


def test_a_lone_surrogate_in_an_input_is_taken_as_it_is() -> None:
    assert payload.decode(b'{"x": "\\ud800"}', JSON, None) == {"x": "\ud800"}


def test_text_is_sent_as_utf8_and_not_escaped() -> None:
    assert payload.encode({"x": "ä€😀"}, JSON) == '{"x":"ä€😀"}'.encode()


LONG = "x" * 20_000


@pytest.mark.parametrize(
    "value",
    [
        *("1e400", "-1E+400", "[1e400]", '{"a": 1e400}', "NaN", "Infinity", "[NaN]"),
        *('"\\ud800"', '"\\ud83d\\ude00"', '"\x7f"', '"a\x01"', "9" * 4301, "9" * 4300, "-0", "-0.0", "0.1", "1e5"),
        *("01", "1.", "[1,]", "null", "true", "[[1], {}]", '1, "a": 2', "1} {", "[" * DEEP),
    ],
)
def test_beside_a_long_text_everything_means_the_same(value: str) -> None:
    def parsed(text: str) -> str:
        try:
            found = payload.decode(text.encode(), JSON, None)
            found.pop("long", None)
            return repr(found)
        except CallRefused as refused:
            return str(refused.failure.kind)

    assert parsed(f'{{"a": {value}, "long": "{LONG}"}}') == parsed(f'{{"a": {value}}}')


@pytest.mark.parametrize(
    "value",
    [*("\ud800", 'é\u2028\0\x1f\n\t"\\/', 2**64, -(2**53), 1e16, float("nan"), float("inf"), True, None, [1], {})],
)
@pytest.mark.parametrize("key", ["key", 1, None, (1, 2), "\udc00"])
def test_beside_a_long_text_everything_is_written_the_same(key: Any, value: Any) -> None:
    def written(tree: dict[Any, Any]) -> bytes:
        try:
            return payload.encode(tree, JSON)
        except NotJson as error:
            return type(error).__name__.encode()

    assert written({key: value, "long": LONG}).replace(b',"long":"' + LONG.encode() + b'"', b"") == written(
        {key: value}
    )
