"""Frames: however they are cut on the way, whole bodies come out; garbage is told."""

import struct

import pytest
from google.protobuf.message import DecodeError

from gateway.workers.frames import (
    MAX_FRAME_BYTES,
    PAYLOADS_FROM_WORKER,
    PAYLOADS_TO_WORKER,
    RESULT,
    RESULT_OUTPUT,
    FrameError,
    FrameReader,
    encode,
    encode_parts,
    split_payload,
)
from sessiongateway.worker.v1 import worker_pb2 as pb


def a_call(payload: bytes) -> pb.ToWorker:
    return pb.ToWorker(call=pb.Call(function="run", payload=payload))


def test_a_frame_is_its_length_and_its_body() -> None:
    body = a_call(b"{}").SerializeToString()
    assert encode(a_call(b"{}")) == struct.pack(">I", len(body)) + body


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_frames_come_out_whole_in_whatever_pieces_they_come_in(size: int) -> None:
    messages = [a_call(b"x" * length) for length in (0, 1, 3, 100, 1000)]
    stream = b"".join(map(encode, messages))
    reader = FrameReader()
    pieces = (stream[start : start + size] for start in range(0, len(stream), size))
    bodies = [body for piece in pieces for body in reader.feed(piece)]
    assert [pb.ToWorker.FromString(body) for body in bodies] == messages


def test_every_way_to_cut_two_frames_in_two_gives_the_same() -> None:
    stream = encode(a_call(b"first")) + encode(a_call(b"second"))
    for cut in range(len(stream) + 1):
        reader = FrameReader()
        bodies = [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])]
        assert [pb.ToWorker.FromString(body).call.payload for body in bodies] == [b"first", b"second"]


def test_an_empty_body_is_a_frame() -> None:
    assert list(FrameReader().feed(b"\0\0\0\0" * 3)) == [b"", b"", b""]


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n", struct.pack(">I", MAX_FRAME_BYTES + 1)]
)
def test_a_length_that_no_frame_has_is_an_error(garbage: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(garbage))


def test_garbage_after_a_whole_frame_comes_after_it() -> None:
    bodies = FrameReader().feed(encode(a_call(b"fine")) + b"\xff\xff\xff\xff")
    assert pb.ToWorker.FromString(next(bodies)).call.payload == b"fine"
    with pytest.raises(FrameError):
        next(bodies)


def test_a_large_frame_in_many_small_pieces_is_not_copied_for_each_of_them() -> None:
    body = bytes(8 * 1024 * 1024)
    stream = struct.pack(">I", len(body)) + body
    reader, pieces = FrameReader(), 0
    for start in range(0, len(stream), 65536):
        found = list(reader.feed(stream[start : start + 65536]))
        pieces += 1
    assert found == [body]
    assert pieces > 100
    assert not reader.has_room


def a_result(output: bytes) -> pb.FromWorker:
    return pb.FromWorker(result=pb.Result(id="call_abcdefghijklmnop", output=output))


@pytest.mark.parametrize("size", [0, 1, 100, 200, 20_000, 3_000_000])
def test_messages_of_one_field_pass_the_check_however_they_are_cut(size: int) -> None:
    stream = encode(a_result(b"x" * size)) * 2
    for cut in {*range(24), len(stream) // 2, *range(len(stream) // 2, len(stream) // 2 + 24), len(stream) - 1}:
        reader = FrameReader(one_field=True)
        bodies = [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])]
        assert [len(body) for body in bodies] == [len(stream) // 2 - 4] * 2


@pytest.mark.parametrize("size", [0, 1, 40, 100, 200, 20_000, 3_000_000])
@pytest.mark.parametrize("garbage", [b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\x0a", b"\0\0\1\0", b"\0\x10\0\0ab"])
def test_no_frame_is_waited_for_in_vain_after_some_bytes_of_garbage(garbage: bytes, size: int) -> None:
    reader = FrameReader(one_field=True)
    with pytest.raises((FrameError, DecodeError)):
        for body in reader.feed(garbage + encode(a_result(b"x" * size)) * 3):
            pb.FromWorker.FromString(body)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000, 3_000_000])
def test_a_frame_in_two_parts_is_the_frame_in_one(size: int) -> None:
    head, payload = encode_parts(RESULT, pb.Result(id="call_a", repeated=True), RESULT_OUTPUT, b"x" * size)
    assert payload == b"x" * size
    (body,) = FrameReader(one_field=True).feed(head + payload)
    assert pb.FromWorker.FromString(body).result == pb.Result(id="call_a", repeated=True, output=payload)


@pytest.mark.parametrize("large", [bytes, bytearray])
def test_a_large_payload_is_cut_out_and_the_rest_stays(large: type[bytes]) -> None:
    call = pb.Call(id="a", deadline=2.5, epoch=300, payload=b"x" * 100_000, expected_calls=0, max_output=4 << 20)
    head, payload = split_payload(large(pb.ToWorker(call=call).SerializeToString()), PAYLOADS_TO_WORKER)
    assert payload == call.payload
    call.ClearField("payload")
    assert pb.ToWorker.FromString(head).call == call


@pytest.mark.parametrize(
    "body",
    [
        pb.FromWorker(failed=pb.Failure(message="x" * 100_000)).SerializeToString(),
        pb.FromWorker(result=pb.Result(failure=pb.Failure(message="x" * 100_000))).SerializeToString(),
        a_result(b"x" * 100_000).SerializeToString()[:-1],
        a_result(b"x" * 100_000).SerializeToString() + b"\x1a",
        b"\x1a\xff\xff\xff",
        b"\x1a",
        bytes(100_000),
    ],
)
def test_what_has_no_large_payload_stays_as_it_is(body: bytes) -> None:
    assert split_payload(body, PAYLOADS_FROM_WORKER) == (body, None)


def test_the_room_of_a_large_frame_may_be_filled_from_outside() -> None:
    stream, reader = encode(a_result(b"x" * 3_000_000)), FrameReader()
    assert list(reader.feed(stream[:1000])) == []
    done = 1000
    bodies: list[bytes] = []
    while reader.has_room:
        with reader.room() as room:
            count = min(len(room), 65536)
            room[:count] = stream[done : done + count]
        done += count
        bodies += reader.filled(count)
    assert bodies == [stream[4:]]
