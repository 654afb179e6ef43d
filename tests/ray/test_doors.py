"""Who comes in through a worker's door, and what a worker is to the actor that looks after it."""

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import WorkerLost
from gateway.handshake import HELLO_BYTES, Handshake
from gateway.model import AppVersion
from gateway.testing.pool_adopting import OUTLIVE, record_of
from gateway.testing.pool_harness import MakeApp, PoolFixtures, lease
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.workers.ray.dialling import purpose_of
from gateway.workers.ray.pool import RayPool
from tests.ray.conftest import StartRayPool


class TestDoor(PoolFixtures):
    async def test_whoever_does_not_know_the_key_is_not_let_in_and_the_worker_goes_on(
        self, start_pool: StartRayPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        assert isinstance(pool, RayPool)
        leased = await lease(pool, app, outlive=OUTLIVE)
        order = {"do": "find", "id": leased.worker.id, "session": "", "epoch": 0}
        host, port = (await pool._link.ask(order))["address"]
        for key in (b"another key", None):
            with await asyncio.to_thread(socket.create_connection, (host, port)) as sock:
                sock.settimeout(DEADLINE)
                handshake = Handshake(key or b"", purpose_of(leased.worker.id), dialling=True)
                sock.sendall(handshake.begin() if key else b"GET / HTTP/1.1\r\n\r\n")
                if key:
                    answer = b""
                    while len(answer) < HELLO_BYTES + 32:
                        answer += await asyncio.to_thread(sock.recv, 4096)
                    sock.sendall(b"\0" * 32)
                assert await asyncio.to_thread(sock.recv, 4096) == b""
        assert (await leased.call())["calls"] == 1

    async def test_a_gateway_with_another_secret_takes_nothing_over_and_harms_nothing(
        self, start_pool: StartRayPool, app: AppVersion
    ) -> None:
        leased = await lease(await start_pool(), app, outlive=OUTLIVE)
        stranger = start_pool.made("another", secret=b"not the secret of the first")
        await stranger.start()
        assert await stranger.adopt([replace(record_of(leased), epoch=8)]) == {}
        assert (await leased.call())["calls"] == 1

    async def test_the_worker_loads_neither_ray_nor_grpc(self, start_pool: StartRayPool, make_app: MakeApp) -> None:
        source = (
            "import sys\nfrom sessiongateway.app import BaseApp\nclass App(BaseApp):\n"
            "    def run(self): return {'loaded': [n for n in sys.modules if n in ('ray', 'grpc')]}\n"
        )
        leased = await lease(await start_pool(), make_app(source, "bare"))
        assert await leased.call() == {"loaded": []}

    async def test_an_actor_that_is_killed_takes_its_worker_with_it(
        self, start_pool: StartRayPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        pid = (await leased.call())["pid"]
        zygote = _parent(pid)
        os.kill(_parent(zygote), signal.SIGKILL)
        with pytest.raises(WorkerLost):
            while True:
                await leased.call()
        await until(lambda: not exists(pid) and not exists(zygote))
        assert (await (await lease(pool, app)).call())["calls"] == 1  # its actor clears away what the other has left


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
