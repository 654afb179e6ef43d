"""What a call in a warm session costs the gateway: in function calls, which no machine is too slow or too busy for.

Everything of ours is in it: reading the request, admission, the records in SQLite, the frames to the worker and back,
the answer. gRPC and the sockets are not; the other benchmarks measure those in seconds.

`python -m bench.cost` prints the number of function calls, Python's and C's, for each Run; with `--metrics` that of a
gateway which counts its calls for Prometheus, with `--keys` that of one whose callers need API keys. In a process of
its own: the interpreter's profiling hook and a test run's timeouts do not get along.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from gateway.apps.registry import AppRegistry
from gateway.auth.credentials import Credentials
from gateway.auth.keyfile import KeyFile
from gateway.auth.keyring import Demand, Keyring
from gateway.auth.keys import Scope, new_key
from gateway.config import Settings
from gateway.model import AppRef, AppVersion
from gateway.rpc.callers import Callers
from gateway.rpc.edge import generic_handler
from gateway.rpc.raw import Failures
from gateway.rpc.services import SessionService
from gateway.sessions.manager import SessionManager
from gateway.sessions.meter import CallMeter
from gateway.stores.guarded import GuardedStore
from gateway.stores.metered import MeteredStore
from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock
from gateway.testing.memory_machine import MemoryMachine
from gateway.testing.memory_pool import MemoryPool
from gateway.workers.base import PendingCall, Worker, WorkerCall
from gateway.workers.connection import WorkerConnection
from gateway.workers.frames import FrameReader, encode
from sessiongateway.v1 import sessions_pb2 as pb
from sessiongateway.worker.v1 import worker_pb2

CALLS = 50
INPUT = b'{"text": "hello"}'


class Wire(asyncio.Transport):
    """Stands for socket and worker: answers each call with its own input."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = WorkerConnection(
            "wrk_a", AppRef("app", "1"), on_ready=id, on_failed=id, on_broken=lambda: None
        )
        self.connection.connection_made(self)
        self._frames = FrameReader()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take frames, and answer them in the loop's next turn."""
        for body in self._frames.feed(bytes(data)):
            call = worker_pb2.ToWorker.FromString(body).call
            answer = worker_pb2.FromWorker(result=worker_pb2.Result(id=call.id, output=call.payload))
            asyncio.get_running_loop().call_soon(self.connection.data_received, encode(answer))


class Pool(MemoryPool):
    """Leases workers whose calls go over a wire."""

    async def lease(self, app: AppVersion, session_id: str, epoch: int, **options: Any) -> Worker:
        """See `WorkerPool.lease`."""
        worker = await super().lease(app, session_id, epoch, **options)
        wire = Wire()

        def call(call: WorkerCall) -> PendingCall:
            return wire.connection.start(call)

        worker.call = call  # type: ignore[method-assign]
        return worker


class Context:
    """Stands for an RPC's context."""

    def __init__(self, key: str) -> None:
        self._metadata = (("user-agent", "test"), *((("authorization", f"Bearer {key}"),) if key else ()))

    def invocation_metadata(self) -> Any:
        """Return what every gRPC client sends."""
        return self._metadata

    def time_remaining(self) -> float:
        """Return the seconds until a deadline, as most callers have one."""
        return 60.0


class Echo:
    """The app, which is never asked."""

    def run(self) -> None:
        """Make the function known."""


async def counted(work: Callable[[], Awaitable[object]]) -> int:
    """Return how many functions are called while something runs."""
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return calls


Run = Callable[[str], Awaitable[pb.RunResponse]]


@asynccontextmanager
async def running(directory: Path, metrics: bool, keys: bool) -> AsyncIterator[Run]:
    """Yield what runs a call in a session, from the bytes of the request to the answer."""
    (directory / "app.py").touch()
    clock, settings = FakeClock(), Settings()
    store = (MeteredStore if metrics else GuardedStore)(SqliteStore(directory / "sessions.db"), clock)
    meter = CallMeter(lambda _: True) if metrics else None
    pool = Pool(settings.workers, MemoryMachine(clock, {"app": Echo}), clock)
    registry = AppRegistry(directory / "apps", {"app": directory})
    manager = SessionManager(store, pool, registry, clock, settings, meter=meter)
    await store.open()
    await manager.start()
    credentials, context = _locked(directory) if keys else (None, Context(""))
    service = SessionService(manager, clock, settings.server.max_input_bytes)
    descriptor, callers = (
        pb.DESCRIPTOR.services_by_name["SessionService"],
        Callers(clock, credentials),
    )
    handlers: Any = generic_handler(descriptor, service, callers, Failures())
    handle = handlers.service(SimpleNamespace(method="/sessiongateway.v1.SessionService/Run")).unary_unary

    async def run(session: str) -> pb.RunResponse:
        request = pb.RunRequest(app="app", session=session, input_json=INPUT)
        response: pb.RunResponse = await handle(request.SerializeToString(), context)
        return response

    try:
        yield run
    finally:
        await manager.close(end_sessions=True)
        await pool.close()
        await store.close()


def _locked(directory: Path) -> tuple[Credentials, Context]:
    """Return what turns everybody away, and the one who has a key."""
    key, shown = new_key("bench", [Scope.EXECUTE], datetime.now(UTC), None)
    file = KeyFile(directory)
    with file.changing() as keys:
        keys[key.id] = key
    return Credentials(Keyring(file, Demand.ALWAYS)), Context(shown)


async def cost(directory: Path, metrics: bool, keys: bool) -> float:
    """Return the function calls for each Run in a warm session. Raises ValueError at a wrong answer."""
    async with running(directory, metrics, keys) as run:
        session = (await run("new")).session_id
        await run(session)

        async def calls() -> None:
            for _ in range(CALLS):
                if (await run(session)).output_json != INPUT:
                    raise ValueError("a wrong answer")

        return await counted(calls) / CALLS


def main() -> None:
    """Print the cost of a call."""
    with tempfile.TemporaryDirectory() as directory:
        print(asyncio.run(cost(Path(directory), "--metrics" in sys.argv, "--keys" in sys.argv)))


if __name__ == "__main__":
    main()
