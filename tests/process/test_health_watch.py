"""grpc.health.v1 Watch, on both transports: for the gateway, for each of its services, and for what is none."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.rpc.server import HEALTH_NAMES
from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from tests.process.test_channelz import info_of
from tests.scenarios.client import connected
from tests.scenarios.conftest import PROBE
from tests.tls.served import TRANSPORTS

Status = health_pb2.HealthCheckResponse


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_watch_of_health_follows_the_gateway_into_its_drain(data_dir: Path, gate: Gate, transport: str) -> None:
    environment = {"SGW_SERVER_TRANSPORT": transport}
    with GatewayProcess(data_dir, {"probe": PROBE}, environment=environment) as gateway:
        async with connected(gateway.address, "owner") as client, grpc.aio.insecure_channel(gateway.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=60) for name in HEALTH_NAMES]
            for watch in watches:
                assert (await watch.read()).status == Status.SERVING
            unknown = stub.Watch(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=60)
            assert (await unknown.read()).status == Status.SERVICE_UNKNOWN
            # A call in flight holds the drain, so that it can be seen.
            opened = await client.new("run")
            held = asyncio.create_task(client.run("pause", {"gate": gate.path}, session=opened.id))
            await gate.arrival()
            gateway.terminate()
            for watch in watches:
                assert (await watch.read()).status == Status.NOT_SERVING
            gate.open("pause")
            await held


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_check_of_what_is_no_service_is_not_found_and_says_which(data_dir: Path, transport: str) -> None:
    with GatewayProcess(data_dir, environment={"SGW_SERVER_TRANSPORT": transport}) as gateway:
        async with grpc.aio.insecure_channel(gateway.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            for name in ("no.such.Service", "ß" * 5000):
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
                assert error.value.code() is grpc.StatusCode.NOT_FOUND
                info = info_of(error.value)
                assert (info.reason, info.domain) == ("SERVICE_NOT_FOUND", "sessiongateway")
                assert info.metadata["service"].removesuffix("…") in name
                assert info.metadata["httpStatus"] == "404"
            for name in HEALTH_NAMES:
                assert (
                    await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
                ).status == Status.SERVING
