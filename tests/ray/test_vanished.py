"""A machine that vanishes without a word: a node in a network of its own, whose link goes down."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import RunState, WorkerExit, WorkerLost
from gateway.model import Placement
from gateway.testing.pool_harness import MakeApp, PoolFixtures, lease
from gateway.testing.waiting import DEADLINE, until
from gateway.timing import EXIT_PATIENCE, PEER_SILENCE
from tests.ray.conftest import RayCluster, StartRayPool

LOADED = 4.0
"""Seconds by which a machine that has much else to do may be late."""

NODE, GATEWAY = "10.231.7.2", "10.231.7.1"
"""Addresses at both ends of the link."""

SETTINGS = {"enable_worker_prestart": "0", "prestart_worker_first_driver": "0", "memory_monitor_refresh_ms": "0"}


def ip(arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *arguments.split()], check=False, capture_output=True, text=True)


class FarNode:
    """A node of a cluster, with the resource `far`, that has this machine for the other end of a link."""

    def __init__(self, cluster: RayCluster) -> None:
        self._space, self._link = f"sgw{os.getpid()}", f"sgw{os.getpid()}"
        if (made := ip(f"netns add {self._space}")).returncode:
            pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
        self._directory = Path(tempfile.mkdtemp(prefix="sgwf"))
        self._node: subprocess.Popen[bytes] | None = None
        for arguments in (
            f"link add {self._link} type veth peer name far netns {self._space}",
            f"addr add {GATEWAY}/24 dev {self._link}",
            f"link set {self._link} up",
            f"-n {self._space} addr add {NODE}/24 dev far",
            f"-n {self._space} link set far up",
            f"-n {self._space} link set lo up",
            f"-n {self._space} route add default via {GATEWAY}",
        ):
            if (done := ip(arguments)).returncode:
                self.close()
                pytest.skip(f"no link to a network namespace can be made here: {done.stderr.strip()}")
        places = {"RAY_TMPDIR": str(self._directory), "TMPDIR": str(self._directory)}
        command = f"start --block --address {cluster.address} --node-ip-address {NODE} --num-cpus 1 --temp-dir"
        self._node = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                self._space,
                str(Path(sys.executable).with_name("ray")),
                *command.split(),
                str(self._directory),
                "--object-store-memory",
                "80000000",
                "--resources",
                json.dumps({"far": 9}),
            ],
            env={**os.environ, **places, **{f"RAY_{name}": value for name, value in SETTINGS.items()}},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def vanish(self) -> None:
        """Take the link down."""
        assert ip(f"-n {self._space} link set far down").returncode == 0

    def close(self) -> None:
        """End all that runs there, and take the network away."""
        deadline = time.monotonic() + DEADLINE
        while (pids := ip(f"netns pids {self._space}").stdout.split()) and time.monotonic() < deadline:
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        if self._node is not None:
            self._node.wait(DEADLINE)
        ip(f"link del {self._link}")
        ip(f"netns del {self._space}")
        shutil.rmtree(self._directory, ignore_errors=True)
        assert not pids


@pytest.fixture
def far(cluster: RayCluster) -> Iterator[FarNode]:
    node = FarNode(cluster)
    yield node
    node.close()


class TestVanished(PoolFixtures):
    async def test_sessions_there_are_lost_in_the_time_that_is_stated_idle_or_in_a_call(
        self, far: FarNode, start_pool: StartRayPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool()
        here = replace(make_app(name="here"), ray=Placement(resources={"place1": 1}))
        there = replace(make_app(name="there"), ray=Placement(resources={"far": 1}))
        near, idle, calling = await asyncio.gather(*(lease(pool, app) for app in (here, there, there)))
        for leased in (near, idle, calling):
            await leased.call()
        lost: dict[str, float] = {}

        def note(name: str) -> None:
            lost[name] = time.monotonic() - began

        idle.worker.when_lost(lambda _: note("idle"))
        calling.worker.when_lost(lambda _: note("calling"))
        began = time.monotonic()
        far.vanish()
        call = calling.begin()
        await until(lambda: len(lost) == 2, DEADLINE)
        assert max(lost.values()) < PEER_SILENCE + EXIT_PATIENCE + LOADED
        with pytest.raises(WorkerLost) as caught:
            await call.reply
        assert (caught.value.run_state, caught.value.worker_exit) == (RunState.UNKNOWN, WorkerExit())
        assert (await near.call())["calls"] == 2
