"""Who comes in through a worker's door, and what a worker is to the actor that looks after it."""

import asyncio
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import WorkerLost
from gateway.handshake import HELLO_BYTES, Handshake
from gateway.model import AppVersion, Placement
from gateway.testing.pool_adopting import OUTLIVE, record_of
from gateway.testing.pool_harness import MakeApp, PoolFixtures, lease
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.workers.ray.dialling import purpose_of
from gateway.workers.ray.pool import RayPool
from tests.ray.conftest import RayCluster, StartRayPool


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
        self, start_pool: StartRayPool, app: AppVersion, cluster: RayCluster
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app, outlive=OUTLIVE)
        pid = (await leased.call())["pid"]
        zygote = _parent(pid)
        os.kill(cluster.actor_of(leased.worker.id), signal.SIGKILL)
        with pytest.raises(WorkerLost):
            while True:
                await leased.call()
        await until(lambda: not exists(pid) and not exists(zygote))
        assert (await (await lease(pool, app)).call())["calls"] == 1  # its actor clears away what the other has left

    async def test_workers_on_one_node_are_forked_from_one_zygote_which_no_actor_takes_with_it(
        self, start_pool: StartRayPool, app: AppVersion, cluster: RayCluster
    ) -> None:
        pool = await start_pool()
        here = replace(app, ray=Placement(resources={"place1": 1}))
        first, second = await lease(pool, here), await lease(pool, here)
        pids = [(await leased.call())["pid"] for leased in (first, second)]
        zygote = _parent(pids[0])
        assert _parent(pids[1]) == zygote
        os.kill(cluster.actor_of(first.worker.id), signal.SIGKILL)
        await until(lambda: not exists(pids[0]))
        third = await lease(pool, here)
        assert _parent((await third.call())["pid"]) == zygote
        pool.end(third.worker)
        await until(lambda: not cluster.files_of(third.worker.id))
        assert (await second.call())["calls"] == 2
        pool.end(second.worker)
        await until(lambda: not exists(zygote))

    async def test_workers_are_lost_with_their_zygote_and_the_next_one_has_a_new_one(
        self, start_pool: StartRayPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        here = replace(app, ray=Placement(resources={"place1": 1}))
        both = [await lease(pool, here), await lease(pool, here)]
        zygote = _parent((await both[0].call())["pid"])
        os.kill(zygote, signal.SIGKILL)
        for leased in both:
            with pytest.raises(WorkerLost):
                while True:
                    await leased.call()
        again = await lease(pool, here)
        assert _parent((await again.call())["pid"]) not in (zygote, 1)

    async def test_the_main_thread_of_an_actor_is_not_woken_up_all_the_time(
        self, start_pool: StartRayPool, app: AppVersion, cluster: RayCluster
    ) -> None:
        leased = await lease(await start_pool(), app)
        actor = cluster.actor_of(leased.worker.id)

        async def turns(count: int) -> float:
            before, began = _switches(actor), time.monotonic()
            await until(lambda: _switches(actor) >= before + count)
            return time.monotonic() - began

        # Ray's loop looks for signals every 10 ms, so that without rests this would be over after a fifth of a second.
        # A busy machine only makes it longer. Not from the first: other threads may only just be starting.
        async with asyncio.timeout(DEADLINE):
            while await turns(20) < 0.6:
                pass


def _switches(thread: int) -> int:
    """Return how often a thread has waited for something."""
    for line in Path(f"/proc/{thread}/task/{thread}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise ValueError(f"no count of {thread}")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
