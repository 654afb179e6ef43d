"""grpc.channelz.v1 of a gateway: what it tells, and to whom."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from gateway.auth.keys import Scope
from gateway.testing.process import GatewayProcess
from tests.auth.issuing import issue
from tests.scenarios.client import DEADLINE, connected
from tests.scenarios.conftest import PROBE
from tests.tls.served import TRANSPORTS

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=TRANSPORTS)
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"SGW_SERVER_TRANSPORT": request.param, "SGW_SERVER_CHANNELZ": "true"}


@pytest.fixture
def gateway(data_dir: Path, environment: dict[str, str]) -> Iterator[GatewayProcess]:
    with GatewayProcess(data_dir, {"probe": PROBE}, environment=environment) as process:
        yield process


@asynccontextmanager
async def asking(gateway: GatewayProcess) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channelz_pb2_grpc.ChannelzStub(channel)


async def sockets(stub: Any, server_id: int) -> list[Any]:
    refs = (await stub.GetServerSockets(channelz_pb2.GetServerSocketsRequest(server_id=server_id))).socket_ref
    requests = [channelz_pb2.GetSocketRequest(socket_id=ref.socket_id) for ref in refs]
    return [(await stub.GetSocket(request)).socket for request in requests]


async def test_it_tells_of_the_server_and_of_each_connection_with_its_peer_and_counts(gateway: GatewayProcess) -> None:
    port = int(gateway.address.rpartition(":")[2])
    async with connected(gateway.address, "owner") as client, asking(gateway) as stub:
        for _ in range(5):
            await client.run("run")
        (server,) = (await stub.GetServers(channelz_pb2.GetServersRequest())).server
        assert server.data.calls_started >= 6
        assert server.data.calls_succeeded >= 5
        same = await stub.GetServer(channelz_pb2.GetServerRequest(server_id=server.ref.server_id))
        assert same.server.ref == server.ref
        found = await sockets(stub, server.ref.server_id)
        assert len(found) == 2
        assert {each.local.tcpip_address.port for each in found} == {port}
        assert len({each.remote.tcpip_address.port for each in found}) == 2
        ours = max(found, key=lambda each: each.data.messages_received)
        assert ours.data.streams_started >= 5
        assert ours.data.streams_succeeded >= 5


async def test_what_is_not_there_is_not_found(gateway: GatewayProcess) -> None:
    async with asking(gateway) as stub:
        for kind, call in (
            ("server", stub.GetServer(channelz_pb2.GetServerRequest(server_id=2**40))),
            ("server", stub.GetServerSockets(channelz_pb2.GetServerSocketsRequest(server_id=2**40))),
            ("socket", stub.GetSocket(channelz_pb2.GetSocketRequest(socket_id=2**40))),
            ("channel", stub.GetChannel(channelz_pb2.GetChannelRequest(channel_id=2**40))),
            ("subchannel", stub.GetSubchannel(channelz_pb2.GetSubchannelRequest(subchannel_id=2**40))),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert error.value.code() is grpc.StatusCode.NOT_FOUND
            assert error.value.details() == f"there is no {kind} {2**40}"
            info = info_of(error.value)
            assert (info.reason, info.domain) == ("CHANNELZ_NOT_FOUND", "sessiongateway")
            assert info.metadata == {"kind": kind, "id": str(2**40), "httpStatus": "404"}
        assert (await stub.GetServers(channelz_pb2.GetServersRequest(start_server_id=2**40))).end


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """Return the ErrorInfo of a status, whose code and message the details repeat."""
    found = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(found["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def test_where_callers_need_keys_it_is_for_those_who_may_see_everything(
    data_dir: Path, environment: dict[str, str]
) -> None:
    keys = {scope: issue(data_dir, scope.value, scope)[1] for scope in Scope}
    with GatewayProcess(data_dir, environment=environment) as gateway:
        async with asking(gateway) as stub:
            assert await answer(stub, None) is grpc.StatusCode.UNAUTHENTICATED
            assert await answer(stub, "sgw_wrong") is grpc.StatusCode.UNAUTHENTICATED
            assert await answer(stub, keys[Scope.READ]) is grpc.StatusCode.PERMISSION_DENIED
            assert await answer(stub, keys[Scope.EXECUTE]) is grpc.StatusCode.PERMISSION_DENIED
            assert await answer(stub, keys[Scope.ADMIN]) is grpc.StatusCode.OK


async def answer(stub: Any, key: str | None) -> grpc.StatusCode:
    metadata = () if key is None else (("authorization", f"Bearer {key}"),)
    call = stub.GetServers(channelz_pb2.GetServersRequest(), metadata=metadata, timeout=DEADLINE)
    code: grpc.StatusCode = await call.code()
    return code


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_it_is_off_unless_it_was_asked_for(data_dir: Path, transport: str) -> None:
    with GatewayProcess(data_dir, environment={"SGW_SERVER_TRANSPORT": transport}) as gateway:
        async with asking(gateway) as stub:
            assert await answer(stub, None) is grpc.StatusCode.UNIMPLEMENTED
