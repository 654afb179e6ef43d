"""gRPC over HTTP/2 as its protocol document says, seen frame by frame."""

import gzip
import zlib

import pytest

from tests.rpc.conftest import Served, needs_nghttp2
from tests.rpc.echo import MAX_MESSAGE
from tests.rpc.peer import (
    DATA,
    END_STREAM,
    NO_ERROR,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    Peer,
    frame,
    prefixed,
    request,
)

pytestmark = [pytest.mark.timeout(30), needs_nghttp2]


async def test_an_answer_is_headers_a_message_and_trailers(peer: Peer) -> None:
    outcome = await peer.answer(1, request(), prefixed(b"hello"))
    assert (outcome.headers[":status"], outcome.headers["content-type"]) == ("200", "application/grpc")
    assert outcome.data == prefixed(b"hello")
    assert outcome.trailers == {"grpc-status": "0"}


@pytest.mark.parametrize("piece", [1, 3, 5, 6, 7])
async def test_frames_may_cut_a_message_anywhere(peer: Peer, piece: int) -> None:
    body = prefixed(b"in pieces")
    peer.open(1, request())
    for start in range(0, len(body), piece):
        peer.send(frame(DATA, 0, 1, body[start : start + piece]))
    peer.send(frame(DATA, END_STREAM, 1))
    assert (await peer.outcome(1)).data == body


async def test_one_frame_may_hold_several_messages(peer: Peer) -> None:
    body = b"".join(prefixed(b"%d" % number) for number in range(100)) + prefixed(b"")
    assert (await peer.answer(1, request("both"), body)).data == body


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/grpc", "200"),
        ("application/grpc+proto", "200"),
        ("application/grpc;charset=utf-8", "200"),
        ("application/grpc-web", "415"),
        ("application/json", "415"),
        ("", "415"),
    ],
)
async def test_only_grpc_is_answered(peer: Peer, content_type: str, status: str) -> None:
    outcome = await peer.answer(1, request(content_type=content_type), prefixed(b""))
    assert outcome.headers[":status"] == status


async def test_only_post_is_answered(peer: Peer) -> None:
    fields = [(name, "PUT" if name == ":method" else value) for name, value in request()]
    assert (await peer.answer(1, fields, b"")).headers[":status"] == "415"


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [("99999999H", 99999999 * 3600), ("2M", 120), ("30S", 30), ("40000m", 40), ("50000000u", 50)],
)
async def test_timeouts_come_in_several_units(peer: Peer, timeout: str, seconds: float) -> None:
    outcome = await peer.answer(1, request("remaining", grpc_timeout=timeout), prefixed(b""))
    assert seconds - 5 < float(outcome.data[5:]) <= seconds


@pytest.mark.parametrize("timeout", ["", "S", "1", "1s", "-1S", "123456789S", "1.5S"])
async def test_a_timeout_that_is_none_is_refused(peer: Peer, timeout: str) -> None:
    fields = [*request(), ("grpc-timeout", timeout)]
    assert (await peer.answer(1, fields, prefixed(b""))).status == "13"


async def test_a_timeout_of_next_to_nothing_is_over_at_once(peer: Peer) -> None:
    assert (await peer.answer(1, request("hold", grpc_timeout="1n"), prefixed(b""))).status == "4"


async def test_what_the_server_ends_before_the_caller_is_reset_without_an_error(peer: Peer) -> None:
    peer.open(1, request("nothing"))
    assert (await peer.outcome(1)).headers["grpc-status"] == "12"
    got = await peer.until(RST_STREAM)
    assert (got.stream, int.from_bytes(got.payload, "big")) == (1, NO_ERROR)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", "12"),
        (prefixed(b"one") + prefixed(b"two"), "12"),
        (prefixed(b"one")[:-1], "13"),
        (b"\0\0", "13"),
        (b"\2\0\0\0\0", "13"),
        (b"\0\xff\xff\xff\xff", "8"),
        (prefixed(b"not compressed", compressed=True), "13"),
    ],
)
async def test_a_request_that_is_not_one_message_is_refused(peer: Peer, body: bytes, status: str) -> None:
    assert (await peer.answer(1, request(), body)).status == status
    assert (await peer.answer(3, request(), prefixed(b"next"))).status == "0"


@pytest.mark.parametrize(
    ("encoding", "message", "status"),
    [
        ("gzip", gzip.compress(b"packed"), "0"),
        ("deflate", zlib.compress(b"packed"), "0"),
        ("gzip", b"no gzip at all", "13"),
        ("gzip", gzip.compress(b"packed")[:-3], "13"),
        ("gzip", gzip.compress(b"packed") + b"more", "13"),
        ("identity", b"packed", "13"),
        ("snappy", b"packed", "12"),
        ("gzip", gzip.compress(bytes(MAX_MESSAGE)), "0"),
        ("gzip", gzip.compress(bytes(MAX_MESSAGE + 1)), "8"),
        ("gzip", gzip.compress(bytes(64 * MAX_MESSAGE)), "8"),
    ],
    ids=["gzip", "deflate", "none", "short", "long", "identity", "unknown", "largest", "too large", "bomb"],
)
@pytest.mark.parametrize("method", ["remaining", "sizes"])
async def test_compressed_messages_are_read_within_the_limit(
    peer: Peer, method: str, encoding: str, message: bytes, status: str
) -> None:
    fields = request(method, grpc_encoding=encoding)
    assert (await peer.answer(1, fields, prefixed(message, compressed=True))).status == status


@pytest.mark.parametrize(
    ("sent", "seen"),
    [("AAH/", [b"\x00\x01\xff"]), ("YQ", [b"a"]), ("YQ==", [b"a"]), ("YQ,Yg==, Yw", [b"a", b"b", b"c"]), ("", [b""])],
)
async def test_binary_metadata_come_with_and_without_padding_and_joined(
    peer: Peer, sent: str, seen: list[bytes]
) -> None:
    outcome = await peer.answer(1, [*request("metadata"), ("x-a-bin", sent)], prefixed(b""))
    assert outcome.data[5:] == repr([("x-a-bin", value) for value in seen]).encode()
    assert outcome.trailers["x-last-bin"] == "AP8"


async def test_binary_metadata_that_are_not_base64_are_refused(peer: Peer) -> None:
    assert (await peer.answer(1, [*request(), ("x-a-bin", "!!!!")], prefixed(b""))).status == "13"


async def test_a_header_list_beyond_the_limit_is_refused_and_the_connection_goes_on(peer: Peer) -> None:
    fields = [*request(), *((f"x-{number}", "v" * 1000) for number in range(17))]
    assert (await peer.answer(1, fields, prefixed(b""))).status == "8"
    assert (await peer.answer(3, request(), prefixed(b"next"))).status == "0"


async def test_pings_are_answered(peer: Peer) -> None:
    peer.send(frame(PING, 0, 0, b"12345678"))
    assert (await peer.until(PING, flags=1)).payload == b"12345678"


async def test_an_answer_waits_for_the_window_and_goes_on_with_it(native: Served) -> None:
    peer = await Peer.connect(native.port, settings=b"\x00\x04" + (10).to_bytes(4, "big"))
    peer.call(1, request(), prefixed(b"x" * 95))
    parts = [await peer.until(DATA)]
    peer.send(frame(PING, 0, 0, b"12345678"))
    await peer.until(PING, flags=1)  # with no data before it
    peer.send(frame(WINDOW_UPDATE, 0, 1, (1000).to_bytes(4, "big")))
    parts.append(await peer.until(DATA))
    assert [len(part.payload) for part in parts] == [10, 90]
    await peer.close()
