"""Who is let in by a gateway that wants keys, and what those may do."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from gateway.auth.keyfile import KeyFile
from gateway.auth.keys import Key, Scope
from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.auth.issuing import gone, issue, known, revoke, shown_by
from tests.scenarios.client import DEADLINE, CallFailed, Client, connected
from tests.scenarios.failures import check, refused

_numbers = itertools.count()

ADMIN = (Scope.ADMIN, Scope.EXECUTE)


async def drained(stream: AsyncIterator[object]) -> None:
    """Read the first message of a stream. Raises CallFailed."""
    try:
        await anext(stream)
    except grpc.aio.AioRpcError as error:
        raise CallFailed(error) from None


async def keepalive_stream(client: Client) -> None:
    async with client.keepalive_stream() as stream:
        await stream.receive()


METHODS: Mapping[str, Callable[[Client], Awaitable[object]]] = {
    "Run": lambda client: client.run("run"),
    "RunStream": lambda client: client.stream("count", {"steps": 1}).rest(),
    "Keepalive": lambda client: client.keepalive("sess_x"),
    "StreamKeepalive": keepalive_stream,
    "EndSession": lambda client: client.end("sess_x"),
    "GetSession": lambda client: client.get("sess_x"),
    "ListSessions": lambda client: client.list(),
    "WatchSessions": lambda client: drained(
        aiter(client.sessions.WatchSessions(pb.WatchSessionsRequest(), metadata=client.metadata, timeout=DEADLINE))
    ),
    "ListApps": lambda client: client.unary(client.apps.ListApps, apps_pb2.ListAppsRequest()),
    "GetApp": lambda client: client.unary(client.apps.GetApp, apps_pb2.GetAppRequest(app="probe")),
}
CHANGING = ["Run", "RunStream", "Keepalive", "StreamKeepalive", "EndSession"]
LOOKING = ["GetSession", "ListSessions", "WatchSessions", "ListApps", "GetApp"]


@pytest.fixture
async def nobody(gateway: GatewayProcess) -> AsyncIterator[Client]:
    async with connected(gateway.address) as client:
        yield client


@pytest.fixture
async def holder(gateway: GatewayProcess, nobody: Client) -> Callable[..., Awaitable[tuple[Client, Key]]]:
    """Make a key, and return its holder once the gateway knows it."""

    async def make(*scopes: Scope) -> tuple[Client, Key]:
        key, shown = issue(gateway.data_dir, f"test-{next(_numbers)}", *scopes)
        client = nobody.as_caller(shown)
        await known(client)
        return client, key

    return make


Holder = Callable[..., Awaitable[tuple[Client, Key]]]


def run_state(method: str, state: str = "NOT_STARTED") -> str:
    return state if method in ("Run", "RunStream") else ""


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_is_answered_without_a_key(nobody: Client, method: str) -> None:
    await refused(METHODS[method](nobody), "UNAUTHENTICATED", run_state(method))


async def test_what_is_wrong_with_a_key_is_not_told(gateway: GatewayProcess, nobody: Client, holder: Holder) -> None:
    (owner, revoked), (other, _) = await holder(), await holder()
    shown, theirs = map(shown_by, (owner, other))
    await METHODS["ListApps"](owner)
    revoke(gateway.data_dir, revoked)
    await gone(owner)
    wrong = [shown, shown[:-1] + ("a" if shown[-1] != "a" else "b"), shown.rpartition("_")[0] + "_" + theirs[-52:], "x"]
    texts = set()
    for key in ["", *wrong, "sgw_" + "a" * 13 + "_" + "b" * 52]:
        texts.add((await refused(nobody.as_caller(key).run("run"), "UNAUTHENTICATED", "NOT_STARTED")).message)
    assert len(texts) == 1


async def test_nothing_of_a_request_is_looked_at_before_the_key(nobody: Client) -> None:
    call: Any = nobody.channel.unary_unary("/sessiongateway.v1.SessionService/Run")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff", timeout=DEADLINE)
    check(CallFailed(caught.value), "UNAUTHENTICATED", "NOT_STARTED")


async def test_health_and_reflection_are_open(nobody: Client) -> None:
    check_health: Any = nobody.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    answer = await check_health(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflect: Any = nobody.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (listed,) = [message async for message in reflect(asked, timeout=DEADLINE)]
    assert "sessiongateway.v1.SessionService" in {each.name for each in listed.list_services_response.service}


@pytest.mark.parametrize("method", CHANGING)
async def test_a_key_for_reading_changes_nothing(holder: Holder, method: str) -> None:
    reader, _ = await holder(Scope.READ)
    refusal = await refused(METHODS[method](reader), "PERMISSION_DENIED", run_state(method))
    assert refusal.info.metadata["permission"] == "execute"


@pytest.mark.parametrize("scope", [Scope.READ, Scope.EXECUTE, Scope.ADMIN])
async def test_every_key_may_look(holder: Holder, scope: Scope) -> None:
    client, _ = await holder(scope)
    for method in LOOKING:
        if method == "GetSession":
            await refused(METHODS[method](client), "SESSION_NOT_FOUND", "")
        else:
            await METHODS[method](client)


async def test_a_key_for_running_runs_and_looks_after_its_sessions(holder: Holder) -> None:
    client, _ = await holder(Scope.EXECUTE)
    opened = await client.new("run")
    assert (await client.run("run", session=opened.id)).output["calls"] == 2
    assert (await client.keepalive(opened.id)).id == opened.id
    async with client.keepalive_stream() as stream:
        assert (await stream.renew(opened.id))[0].session.id == opened.id
    assert len(await client.stream("count", {"steps": 2}).rest()) == 3
    assert [session.id for session in (await client.list()).sessions] == [opened.id]
    assert (await client.end(opened.id)).status == pb.SESSION_STATUS_ENDED


async def test_sessions_belong_to_the_key_and_nobody_elses_key_sees_them(
    gateway: GatewayProcess, holder: Holder
) -> None:
    (owner, key), (other, _), (reader, _) = await holder(), await holder(), await holder(Scope.READ)
    opened = await owner.new("run")
    unknown = "sess_" + "a" * 26
    assert len(opened.id) == len(unknown)
    for client in (other, reader):
        texts = {
            (await refused(client.get(id), "SESSION_NOT_FOUND", "")).message.replace(id, "ID")
            for id in (opened.id, unknown)
        }
        assert len(texts) == 1
        assert list((await client.list()).sessions) == []
    await refused(other.end(opened.id), "SESSION_NOT_FOUND", "")
    await refused(other.run("run", session=opened.id), "SESSION_NOT_FOUND", "NOT_STARTED")
    assert (await owner.end(opened.id)).id == opened.id
    assert KeyFile(gateway.data_dir).read()[key.id] == key


async def test_an_admin_sees_and_ends_the_sessions_of_all(holder: Holder) -> None:
    (one, _), (two, _), (admin, _) = await holder(), await holder(), await holder(Scope.ADMIN)
    async with admin.watch() as watch:
        await watch.receive()
        # Several, so that of two processes both have some.
        opened = [await client.new("run") for client in (one, two) for _ in range(3)]
        seen = [await watch.receive() for _ in opened]
        assert {message.session.id for message in seen} == {each.id for each in opened}
    listed = {session.id for session in (await admin.list(status=pb.SESSION_STATUS_ACTIVE)).sessions}
    assert {each.id for each in opened} <= listed
    for each in opened:
        assert (await admin.get(each.id)).id == each.id
        assert (await admin.end(each.id)).status == pb.SESSION_STATUS_ENDED
    assert (await one.get(opened[0].id)).end_reason == errors_pb2.END_REASON_CALLER


async def test_an_admin_sees_and_ends_what_any_process_has(gateway: GatewayProcess, holder: Holder) -> None:
    (owner, _), (admin, _) = await holder(), await holder(Scope.ADMIN)
    opened = []
    for _ in range(8):  # connections, which the processes share between them; each keeps its sessions to itself
        async with connected(gateway.address, shown_by(owner)) as client:
            await known(client)
            opened.append((await client.new("run")).id)
    for each in opened:
        assert (await admin.get(each)).id == each
        assert (await admin.end(each)).status == pb.SESSION_STATUS_ENDED


async def test_an_admin_neither_calls_nor_prolongs_the_sessions_of_others(holder: Holder) -> None:
    (owner, _), (admin, _), (only_admin, _) = await holder(), await holder(*ADMIN), await holder(Scope.ADMIN)
    opened = await owner.new("run")
    await refused(admin.run("run", session=opened.id), "SESSION_NOT_FOUND", "NOT_STARTED")
    await refused(admin.keepalive(opened.id), "SESSION_NOT_FOUND", "")
    refusal = await refused(only_admin.run("run"), "PERMISSION_DENIED", "NOT_STARTED")
    assert refusal.info.metadata["permission"] == "execute"
    await owner.end(opened.id)


async def test_a_page_token_of_an_admin_is_none_for_others(holder: Holder) -> None:
    (owner, _), (admin, _) = await holder(), await holder(Scope.ADMIN)
    opened = [await owner.new("run") for _ in range(2)]
    token = (await admin.list(page_size=1)).next_page_token
    assert token
    await refused(owner.list(page_size=1, page_token=token), "INVALID_REQUEST", "")
    for each in opened:
        await owner.end(each.id)
