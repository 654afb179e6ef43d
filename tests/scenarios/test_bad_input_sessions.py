"""Wrong requests about sessions and apps: ids, pages, filters, and what is written on a keepalive stream."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import CallFailed, Client, KeepaliveStream, connected
from tests.scenarios.failures import fields_of, refused
from tests.scenarios.witness import APPS, STEADY, Witness, witness

UNKNOWN = "sess_" + "a" * 26
MALFORMED = ["", "abc", "new", "SESS_abc", "sess_" + "x" * 200, "../sess_a", "wrk_abc"]
BY_ID = {
    "GetSession": pb.GetSessionRequest,
    "Keepalive": pb.KeepaliveRequest,
    "EndSession": pb.EndSessionRequest,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {STEADY: APPS / "steady"}, ["--min-idle", "0"]) as process:
        yield process


@pytest.fixture
async def own(gateway: GatewayProcess) -> AsyncIterator[Witness]:
    async with witness(gateway) as own:
        yield own


async def about(client: Client, method: str, session_id: str) -> Any:
    """Call a method that takes a session id."""
    return await client.unary(getattr(client.sessions, method), BY_ID[method](session_id=session_id))


@pytest.mark.parametrize("method", BY_ID)
@pytest.mark.parametrize("session_id", MALFORMED)
async def test_what_is_no_session_id_is_refused_by_its_field(own: Witness, method: str, session_id: str) -> None:
    refusal = await refused(about(own.client, method, session_id), "INVALID_REQUEST")
    assert set(fields_of(refusal)) == {"session_id"}


@pytest.mark.parametrize("method", BY_ID)
async def test_an_unknown_session_is_not_found(own: Witness, method: str) -> None:
    refusal = await refused(about(own.client, method, UNKNOWN), "SESSION_NOT_FOUND")
    assert refusal.info.metadata["sessionId"] == refusal.detail.session_id == UNKNOWN


@pytest.mark.parametrize("method", BY_ID)
async def test_a_session_of_another_caller_reads_like_an_unknown_one(
    gateway: GatewayProcess, own: Witness, method: str
) -> None:
    async with connected(gateway.address, key="somebody-else") as other:
        foreign = await refused(about(other, method, own.session.id), "SESSION_NOT_FOUND")
        unknown = await refused(about(other, method, UNKNOWN), "SESSION_NOT_FOUND")
    assert foreign.message == unknown.message.replace(UNKNOWN, own.session.id)
    assert foreign.raw == unknown.raw.replace(UNKNOWN.encode(), own.session.id.encode())


LISTS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("a negative page size", {"page_size": -1}, ["page_size"]),
    ("a page size of 1001", {"page_size": 1001}, ["page_size"]),
    ("a status that is none", {"status": 99}, ["status"]),
    ("an app that is none", {"app": "no name"}, ["app"]),
    ("everything at once", {"page_size": -1, "status": -5, "app": "@"}, ["page_size", "status", "app"]),
    ("a token of somebody's own making", {"page_token": "abc"}, ["page_token"]),
    ("a token that is not base64", {"page_token": "§§§"}, ["page_token"]),
    ("an empty cursor in a token", {"page_token": base64.urlsafe_b64encode(b"8 bytes.").decode()}, ["page_token"]),
    ("an endless token", {"page_token": "A" * 100_000}, ["page_token"]),
]


@pytest.mark.parametrize(("fields", "wrong"), [pytest.param(*case[1:], id=case[0]) for case in LISTS])
async def test_a_list_request_with_wrong_fields_names_each(
    own: Witness, fields: dict[str, Any], wrong: list[str]
) -> None:
    refusal = await refused(own.client.list(**fields), "INVALID_REQUEST")
    assert fields_of(refusal) == wrong


async def test_a_page_token_is_good_only_for_the_query_that_it_came_from(gateway: GatewayProcess, own: Witness) -> None:
    opened = [await own.open(STEADY) for _ in range(2)]
    token = (await own.client.list(page_size=1)).next_page_token
    assert token
    for other_query in ({"status": pb.SESSION_STATUS_ACTIVE}, {"app": STEADY}, {"app": own.app}):
        refusal = await refused(own.client.list(page_token=token, **other_query), "INVALID_REQUEST")
        assert fields_of(refusal) == ["page_token"]
    async with connected(gateway.address, key="somebody-else") as other:
        await refused(other.list(page_token=token), "INVALID_REQUEST")
    broken = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    await refused(own.client.list(page_token=broken), "INVALID_REQUEST")
    # The size of the page is no part of the query.
    rest = await own.client.list(page_token=token, page_size=2)
    assert [session.id for session in rest.sessions] == [opened[0].id, own.session.id]
    for session in opened:
        await own.client.end(session.id)


APP_REQUESTS: list[tuple[str, str, Any, str, list[str]]] = [
    ("no app", "GetApp", apps_pb2.GetAppRequest(), "INVALID_REQUEST", ["app"]),
    ("an app that is none", "GetApp", apps_pb2.GetAppRequest(app="a b"), "INVALID_REQUEST", ["app"]),
    ("an unknown app", "GetApp", apps_pb2.GetAppRequest(app="nobody"), "APP_NOT_FOUND", []),
    ("an unknown version", "GetApp", apps_pb2.GetAppRequest(app="steady@0"), "VERSION_NOT_FOUND", []),
    ("a negative page size", "ListApps", apps_pb2.ListAppsRequest(page_size=-1), "INVALID_REQUEST", ["page_size"]),
    ("a token that is none", "ListApps", apps_pb2.ListAppsRequest(page_token="§"), "INVALID_REQUEST", ["page_token"]),
    ("a token of bytes", "ListApps", apps_pb2.ListAppsRequest(page_token="_w=="), "INVALID_REQUEST", ["page_token"]),
]


@pytest.mark.parametrize(("method", "request_", "code", "wrong"), [pytest.param(*c[1:], id=c[0]) for c in APP_REQUESTS])
async def test_a_wrong_request_about_apps_is_refused(
    own: Witness, method: str, request_: Any, code: str, wrong: list[str]
) -> None:
    refusal = await refused(own.client.unary(getattr(own.client.apps, method), request_), code)
    assert fields_of(refusal) == wrong


async def test_a_method_that_there_is_not_is_unimplemented(own: Witness) -> None:
    method: Any = own.client.channel.unary_unary("/sessiongateway.v1.SessionService/Destroy")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_wrong_id_on_a_stream_is_answered_in_band_and_the_others_are_renewed(own: Witness) -> None:
    opened = await own.open(STEADY)
    async with own.client.keepalive_stream() as stream:
        news = await stream.renew("abc", UNKNOWN, opened.id, "")
        again = await stream.renew(opened.id)
    codes = [errors_pb2.ErrorCode.Name(one.error.code) if one.HasField("error") else "renewed" for one in news]
    assert codes == [
        "ERROR_CODE_INVALID_REQUEST",
        "ERROR_CODE_SESSION_NOT_FOUND",
        "renewed",
        "ERROR_CODE_INVALID_REQUEST",
    ]
    assert [one.session_id for one in news] == ["abc", UNKNOWN, opened.id, ""]
    assert [one.error.http_status for one in news] == [400, 404, 0, 400]
    assert again[0].session.id == opened.id
    await own.client.end(opened.id)


async def test_a_finished_session_on_a_stream_is_answered_with_its_error(own: Witness) -> None:
    opened = await own.open(STEADY)
    await own.client.end(opened.id)
    unary = await refused(own.client.keepalive(opened.id), "SESSION_ENDED")
    async with own.client.keepalive_stream() as stream:
        (news,) = await stream.renew(opened.id)
    assert news.error == unary.detail


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_message_with_none_or_too_many_ids_ends_the_stream_with_an_error(own: Witness, count: int) -> None:
    async with own.client.keepalive_stream() as stream:
        await stream.send(*[UNKNOWN] * count)
        refusal = await refused(_drained(stream), "INVALID_REQUEST")
    assert fields_of(refusal) == ["session_ids"]


async def test_garbage_on_a_stream_ends_it_with_an_error(own: Witness) -> None:
    method = "/sessiongateway.v1.SessionService/StreamKeepalive"
    call: Any = own.client.channel.stream_stream(method)(metadata=own.client.metadata)
    await call.write(b"\xff\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(10):
            await call.read()
    assert fields_of(CallFailed(caught.value)) == ["request"]


async def test_ids_that_are_not_found_take_no_place_on_a_stream(own: Witness) -> None:
    async with own.client.keepalive_stream() as stream:
        for _ in range(11):
            assert len(await stream.renew(*[UNKNOWN] * 1000)) == 1000


async def _drained(stream: KeepaliveStream) -> None:
    while True:
        await stream.receive()
