"""Gateways without their edge, on one Redis and one machine in memory: whoever has a session, its worker is reached."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool

from gateway.apps.names import AppQuery
from gateway.apps.registry import AppRegistry
from gateway.clock import SystemClock
from gateway.cluster import Cluster
from gateway.cluster_settings import ClusterSettings
from gateway.config import Settings
from gateway.model import Session
from gateway.rpc.raw import Failures, Methods
from gateway.rpc.services import SessionService
from gateway.sessions.manager import SessionManager
from gateway.sessions.pages import Tokens
from gateway.sessions.requests import Caller, RunRequest
from gateway.shards import Shards
from gateway.store_settings import StoreSettings
from gateway.stores.guarded import GuardedStore
from gateway.stores.redis import RedisStore
from gateway.stores.redis_claims import Membership
from gateway.stores.redis_clock import ServerTime
from gateway.stores.redis_connection import Connection
from gateway.stores.redis_errors import NoReply
from gateway.stores.redis_server import RedisServer
from gateway.testing.memory_machine import MemoryMachine
from gateway.testing.memory_pool import MemoryPool
from gateway.worker_settings import WorkerSettings
from sessiongateway.v1 import sessions_pb2 as pb

ME = Caller("me")
TAKEOVER = 2.0


class Counting:
    """An app that counts its calls. One that waits goes on when the test opens the gate of all of them."""

    gate = asyncio.Event()
    begun = asyncio.Event()
    """Set when a call waits."""

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, input: dict[str, Any]) -> dict[str, int]:
        self.calls += 1
        calls = self.calls
        if input.get("wait"):
            Counting.begun.set()
            await Counting.gate.wait()
        return {"calls": calls}


def machine() -> MemoryMachine:
    """Return a machine that runs the app."""
    Counting.gate, Counting.begun = asyncio.Event(), asyncio.Event()
    return MemoryMachine(SystemClock(), {"app": Counting})


class _Server(RedisServer):
    """The way to Redis, which ends with its gateway: a store that is lost is connected anew."""

    gone = False

    async def connect(self) -> Connection:
        if self.gone:
            raise NoReply("this gateway is dead")
        return await super().connect()


class Assembled:
    """One gateway. Whoever calls `start` calls `stop`, unless it has died."""

    def __init__(
        self, url: str, prefix: str, name: str, directory: Path, machine: MemoryMachine, **sections: Mapping[str, Any]
    ) -> None:
        (directory / "app.py").touch()
        self._stopped = False
        clock = SystemClock()
        cluster = ClusterSettings(listen="127.0.0.1:0", **{"takeover": TAKEOVER, **sections.get("cluster", {})})
        workers = WorkerSettings(max_workers=8, min_idle=0)
        settings = Settings(workers=workers, store=StoreSettings(url=url), cluster=cluster)
        self.shards = Shards(name)
        membership = Membership(self.shards, name, "", cluster.takeover)
        self._server = _Server(StoreSettings(url=url))
        self.redis = RedisStore(self._server, clock, prefix=prefix, time=ServerTime(), claim=membership)
        self.store = GuardedStore(self.redis, clock)
        self.pool = MemoryPool(settings.workers, machine, clock, anywhere=True)
        registry = AppRegistry(directory / "apps", {"app": directory})
        tokens = Tokens()
        self.manager = SessionManager(
            self.store, self.pool, registry, clock, settings, share=self.shards, tokens=tokens
        )
        self.cluster = Cluster(cluster, self.shards, self.store, clock)
        self.cluster.introduce(self.manager, self.pool, tokens)
        self.store.catch_up = self.manager.catch_up
        service = SessionService(self.manager, clock, settings.server.max_input_bytes)
        descriptor = descriptor_pool.Default().FindServiceByName("sessiongateway.v1.SessionService")
        self.cluster.exchange.serve(Methods([(descriptor, service)], Failures()))

    async def start(self) -> None:
        await self.cluster.bind()
        await self.store.open()
        await self.manager.start(await self.cluster.enter())
        await self.cluster.join()

    async def stop(self, *, end_sessions: bool = False) -> None:
        """Go, as after SIGTERM. Stopping twice is fine."""
        if self._stopped:
            return
        self._stopped = True
        await self.manager.close(end_sessions=end_sessions)
        await self.pool.close(keep_leased=not end_sessions)
        await self.cluster.leave()
        self.cluster.fall_silent()
        await self.store.close()

    def fall_silent(self) -> None:
        """Give no sign any more, as one whose heart has stopped and nothing else."""
        self.cluster.fall_silent()

    async def die(self) -> None:
        """End without a word to anybody."""
        self._stopped = True
        self.cluster.fall_silent()
        self.pool.crash()
        await self.cluster.leave()
        self._server.gone = True
        await self.redis._link._disconnect()  # as the end of a process would

    async def run(self, session: str = "new", *, wait: bool = False, timeout: int | None = None) -> tuple[int, str]:
        """Send a call to this gateway, whoever is to answer it. Returns what the app says and the session's id."""
        input_json = json.dumps({"wait": wait}).encode()
        request = pb.RunRequest(app="app", session=session, input_json=input_json, session_timeout=timeout)
        answer = pb.RunResponse.FromString(await self.cluster.exchange.unary("Run", request.SerializeToString(), ME))
        return json.loads(answer.output_json)["calls"], answer.session_id

    async def run_here(self, session: str) -> int:
        """Have this gateway itself run a call."""
        request = RunRequest(AppQuery("app"), "", b"{}", session=session)
        return int(json.loads((await self.manager.run(request, ME)).output)["calls"])

    async def get(self, session: str) -> Session:
        """Return a session as it is on record."""
        found = await self.store.get(session)
        assert found is not None
        return found

    def has(self, session: str) -> Callable[[], bool]:
        """Return what says whether this gateway has a session in its hands."""
        return lambda: self.shards.owns(session)
