"""Inputs that no function should see: refused before it runs, in a session and without one."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Answer, CallFailed
from tests.scenarios.failures import check, fields_of, refused
from tests.scenarios.witness import APPS, STEADY, Witness, witness

MEBIBYTE = 1024 * 1024
RUN = "/sessiongateway.v1.SessionService/Run"

LENGTH_DELIMITED = 2
APP, INPUT, INPUT_JSON, SESSION = 1, 3, 4, 5


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {STEADY: APPS / "steady"}, ["--min-idle", "0"]) as process:
        yield process


def field(number: int, value: bytes) -> bytes:
    """Return one length-delimited field as it is on the wire."""
    return varint(number << 3 | LENGTH_DELIMITED) + varint(len(value)) + value


def varint(number: int) -> bytes:
    """Return a number as it is on the wire."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


async def send_bytes(own: Witness, message: bytes) -> pb.RunResponse:
    """Send what need not be a RunRequest to Run."""
    run: Any = own.client.channel.unary_unary(RUN, response_deserializer=pb.RunResponse.FromString)
    try:
        response: pb.RunResponse = await run(message, metadata=own.client.metadata)
    except grpc.aio.AioRpcError as error:
        raise CallFailed(error) from None
    return response


def nested_json(depth: int) -> bytes:
    """Return an object with so many levels as JSON text."""
    return b'{"a":' * depth + b"1" + b"}" * depth


def nested_struct(depth: int) -> bytes:
    """Return a Struct with so many levels as it is on the wire, which no library would write."""
    value = b""
    for _ in range(depth):
        value = field(1, field(1, b"a") + field(2, field(5, value)))
    return value


NOT_JSON = [
    ("NaN", b'{"a": NaN}', b'{"customer": "c", "items": [{"name": "n", "amount": NaN}]}'),
    ("Infinity", b'{"a": [Infinity]}', b'{"customer": "c", "items": [{"name": "n", "amount": Infinity}]}'),
    ("minus infinity", b'{"a": -Infinity}', b'{"customer": "c", "items": [{"name": "n", "amount": -Infinity}]}'),
    ("NaN where nobody looks", b'{"a": {"b": NaN}}', b'{"customer": "c", "items": [], "more": NaN}'),
    ("invalid UTF-8", b'{"a": "\xff\xfe"}', b'{"customer": "\xff", "items": []}'),
    ("a UTF-16 text", '{"a": 1}'.encode("utf-16"), '{"customer": "c"}'.encode("utf-16")),
    ("half an object", b'{"a": 1', b'{"customer": "c", "items": ['),
    ("an object and more", b'{"a": 1} {"b": 2}', b'{"customer": "c", "items": []} x'),
    ("a list", b"[1, 2]", b"[1, 2]"),
    ("a text", b'"text"', b'"text"'),
    ("null", b"null", b"null"),
    ("a number", b"1", b"1"),
    ("no JSON at all", b"customer=c", b"customer=c"),
    ("only spaces", b"   ", b"   "),
    ("a trailing comma", b'{"a": 1,}', b'{"customer": "c", "items": [],}'),
    ("a comment", b'{"a": 1 /* one */}', b'{"customer": "c", "items": [] /* none */}'),
    ("100,000 levels", nested_json(100_000), b'{"customer": "c", "items": [], "more": ' + nested_json(100_000) + b"}"),
]


@pytest.mark.parametrize("function", ["run", "order"])
@pytest.mark.parametrize(("raw", "typed"), [pytest.param(*case[1:], id=case[0]) for case in NOT_JSON])
async def test_input_that_is_not_a_json_object_is_refused_by_its_field(
    gateway: GatewayProcess, function: str, raw: bytes, typed: bytes
) -> None:
    async with witness(gateway) as own:
        opened = await own.open(own.app)
        payload = typed if function == "order" else raw
        for session in ("", "new", opened.id):
            request = pb.RunRequest(app=own.app, function=function, input_json=payload, session=session)
            refusal = await refused(own.send(request), "INVALID_REQUEST", "NOT_STARTED")
            assert fields_of(refusal) == ["input_json"]
        ended = await own.client.end(opened.id)
        # A call whose input was refused was never made.
        assert ended.call_count == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("function", ["run", "order"])
async def test_a_struct_with_a_number_that_json_does_not_have_is_refused(
    gateway: GatewayProcess, number: float, function: str
) -> None:
    async with witness(gateway) as own:
        input = struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=number)})
        request = pb.RunRequest(app=own.app, function=function, input=input)
        refusal = await refused(own.send(request), "INVALID_REQUEST", "NOT_STARTED")
    assert fields_of(refusal) == ["input"]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xff\xff\xff", id="garbage"),
        pytest.param(field(APP, b"steady")[:-2], id="a message that is cut off"),
        pytest.param(field(APP, b"\xff\xfe"), id="invalid UTF-8 in a text field"),
        pytest.param(field(APP, b"steady") + field(INPUT, b"\x0a\x05"), id="a broken Struct"),
        pytest.param(field(APP, b"steady") + field(INPUT, nested_struct(1000)), id="a Struct with 1,000 levels"),
    ],
)
async def test_what_is_no_request_at_all_is_refused(gateway: GatewayProcess, message: bytes) -> None:
    async with witness(gateway) as own:
        refusal = await refused(send_bytes(own, message), "INVALID_REQUEST", "NOT_STARTED")
    assert fields_of(refusal) == ["request"]


async def test_of_both_payloads_the_last_one_on_the_wire_counts(gateway: GatewayProcess) -> None:
    struct = struct_pb2.Struct()
    struct.update({"from": "struct"})
    as_struct = field(INPUT, struct.SerializeToString())
    as_json = field(INPUT_JSON, b'{"from": "json"}')
    async with witness(gateway) as own:
        head = field(APP, STEADY.encode())
        first = await send_bytes(own, head + as_struct + as_json)
        second = await send_bytes(own, head + as_json + as_struct)
    assert Answer(first).output["state"]["from"] == "json"
    assert second.WhichOneof("result") == "output"
    assert MessageToDict(second.output)["state"]["from"] == "struct"


async def test_no_payload_is_the_empty_object_in_the_form_of_a_struct(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        opened = (await own.run(own.app, session="new")).session
        answer = await own.run(own.app, session=opened.id)
        assert answer.WhichOneof("result") == "output"
        assert MessageToDict(answer.output)["state"] == {}
        empty = await own.send(pb.RunRequest(app=own.app, session=opened.id, input_json=b""))
        assert Answer(empty).output | {"pid": 0} == {"calls": 3, "state": {}, "pid": 0}
        await own.client.end(opened.id)


@pytest.mark.parametrize("session", ["", "new"])
async def test_an_input_of_5_mb_is_refused_with_its_size_and_the_limit(gateway: GatewayProcess, session: str) -> None:
    text = "x" * (5 * MEBIBYTE)
    struct = struct_pb2.Struct()
    struct.update({"text": text})
    as_json = pb.RunRequest(app=STEADY, session=session, input_json=json.dumps({"text": text}).encode())
    as_struct = pb.RunRequest(app=STEADY, session=session, input=struct)
    async with witness(gateway) as own:
        for request, name in ((as_json, "input_json"), (as_struct, "input")):
            refusal = await refused(own.send(request), "INVALID_REQUEST", "NOT_STARTED")
            assert fields_of(refusal) == [name]
            assert str(4 * MEBIBYTE) in refusal.message


async def test_the_largest_input_comes_through_and_a_byte_more_does_not(gateway: GatewayProcess) -> None:
    def sized(size: int) -> pb.RunRequest:
        return pb.RunRequest(app=STEADY, function="order", input_json=order + b" " * (size - len(order)))

    order = b'{"customer": "c", "items": []}'
    async with witness(gateway) as own:
        answer = await own.send(sized(4 * MEBIBYTE))
        assert Answer(answer).output == {"total": 0}
        await refused(own.send(sized(4 * MEBIBYTE + 1)), "INVALID_REQUEST", "NOT_STARTED")


async def test_a_message_far_beyond_every_limit_is_refused_by_grpc_itself(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        with pytest.raises(CallFailed) as caught:
            await own.send(pb.RunRequest(app=STEADY, input_json=b" " * (32 * MEBIBYTE)))
    assert caught.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.raw == b""


WRONG_INPUTS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("nothing", {}, ["input.customer", "input.items"]),
    ("a wrong type", {"customer": 1, "items": []}, ["input.customer"]),
    ("no list", {"customer": "c", "items": {"name": "n"}}, ["input.items"]),
    (
        "places in a list",
        {"customer": "c", "items": [{"name": "n", "amount": 1}, {"amount": -1}]},
        ["input.items.1.name", "input.items.1.amount"],
    ),
]


@pytest.mark.parametrize(("input", "fields"), [pytest.param(*case[1:], id=case[0]) for case in WRONG_INPUTS])
async def test_an_input_of_the_wrong_type_names_the_path_of_each_field(
    gateway: GatewayProcess, input: dict[str, Any], fields: list[str]
) -> None:
    struct = struct_pb2.Struct()
    struct.update(input)
    async with witness(gateway) as own:
        opened = await own.open(own.app)
        for payload in ({"input_json": json.dumps(input).encode()}, {"input": struct}):
            for session in ("", opened.id):
                request = pb.RunRequest(app=own.app, function="order", session=session, **payload)
                refusal = await refused(own.send(request), "INVALID_INPUT", "NOT_STARTED")
                assert fields_of(refusal) == fields
                assert refusal.detail.session_id == session
        assert (await own.client.end(opened.id)).call_count == 1


async def test_more_wrong_fields_than_can_be_shown_are_counted(gateway: GatewayProcess) -> None:
    items = [{"name": "n" * 2000, "amount": -1} for _ in range(500)]
    async with witness(gateway) as own:
        with pytest.raises(CallFailed) as caught:
            await own.run(own.app, {"customer": "c", "items": items}, function="order")
    check(caught.value, "INVALID_INPUT", "NOT_STARTED")
    assert fields_of(caught.value)[0] == "input.items.0.amount"
    shown = caught.value.bad_request
    assert f"{500 - len(shown)} more" in shown[-1][1]


async def test_a_wrong_first_input_leaves_no_session_behind(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        opening = own.run(own.app, {"customer": 1}, function="order", session="new")
        refusal = await refused(opening, "INVALID_INPUT", "NOT_STARTED")
        assert refusal.end_reason == "FIRST_CALL_FAILED"
        ended = await own.client.get(refusal.detail.session_id)
        assert ended.status == pb.SESSION_STATUS_ENDED
        again = own.run(own.app, session=ended.id)
        late = await refused(again, "SESSION_ENDED", "NOT_STARTED")
        assert late.info.metadata["endReason"] == "FIRST_CALL_FAILED"
