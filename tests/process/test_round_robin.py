"""Clients that spread their calls over several gateway processes behind one name."""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import DEADLINE
from sessiongateway import AsyncInference, GatewayDrainingError, SessionInfo, UnavailableError
from tests.process.names import naming
from tests.process.observe import eventually, worker_pid
from tests.process.test_processes import parent
from tests.scenarios.conftest import PROBE

pytestmark = pytest.mark.timeout(120)

HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
THREE = ["--processes", "3", "--min-idle", "3", "--insecure", "--listen", "0.0.0.0:0"]
"""All addresses of loopback are this machine's, so one gateway has three that a name can stand for."""


@pytest.fixture
def gateway(data_dir: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(data_dir, {"probe": PROBE}, THREE) as process:
        yield process


def port_of(gateway: GatewayProcess) -> int:
    return int(gateway.address.rpartition(":")[2])


def reached(port: int) -> set[str]:
    """Return the hosts to which this process has a connection on a port, by the kernel's table."""
    sockets = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            sockets.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    hosts = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, at = fields[2].partition(":")
            if int(at, 16) == port and fields[3] == "01" and f"socket:[{fields[9]}]" in sockets:
                hosts.add(".".join(str(byte) for byte in reversed(bytes.fromhex(address[-8:]))))
    return hosts


async def test_a_name_of_several_gateways_is_used_round_robin_and_any_of_them_serves_any_session(
    gateway: GatewayProcess,
) -> None:
    port = port_of(gateway)
    async with naming(HOSTS, port) as (_, address), AsyncInference(address=address, timeout=20) as everywhere:
        opened = [(await everywhere.run(app="probe", session="new")).session_id for _ in range(9)]
        await eventually("a connection to each address", lambda: reached(port) == set(HOSTS))
        for host in HOSTS:
            async with AsyncInference(address=f"{host}:{port}", timeout=20) as one:
                for session in opened:
                    await one.run(app="probe", session=session)
        for session in opened:
            assert (await everywhere.run(app="probe", session=session)).output["calls"] == 2 + len(HOSTS)


async def read(client: AsyncInference, session_id: str) -> SessionInfo:
    """Return a session. Whatever breaks under a read is repeated by gRPC, as the service config has it, but not for as
    long as a process may take to start on a machine that is busy.
    """
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(GatewayDrainingError):
                return await client.sessions.get(session_id)


async def test_calls_go_on_when_one_of_the_processes_dies(gateway: GatewayProcess) -> None:
    port = port_of(gateway)
    async with naming(HOSTS, port) as (_, address), AsyncInference(address=address, timeout=20) as client:
        opened = [(await client.run(app="probe", session="new")).session_id for _ in range(6)]
        await eventually("a connection to each address", lambda: reached(port) == set(HOSTS))
        worker_id = (await client.sessions.get(opened[0])).worker_id
        os.kill(parent(parent(worker_pid(gateway.data_dir, worker_id))), signal.SIGKILL)
        cut = 0
        for number in range(30):
            session = opened[number % len(opened)]
            assert (await read(client, session)).status == "active"
            once = {"app": "probe", "session": session, "request_id": str(uuid.uuid4())}
            try:
                await client.run(once)
            except UnavailableError:
                cut += 1
                await client.run(once)
        # At most the calls that were on their way over the connections of the one that died.
        assert cut <= len(HOSTS)
        for session in opened:
            assert (await client.run(app="probe", session=session)).output["calls"] == 2 + 30 // len(opened)


async def test_an_address_of_the_name_at_which_nobody_is_is_left_out(data_dir: Path) -> None:
    with GatewayProcess(data_dir, {"probe": PROBE}) as gateway:
        async with (
            naming(HOSTS, port_of(gateway)) as (names, address),
            AsyncInference(address=address, timeout=20) as client,
        ):
            for _ in range(6):
                assert (await client.run(app="probe")).output["calls"]
            assert names.asked
