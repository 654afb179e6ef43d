"""Gateways for scenarios: of both kinds where only behaviour counts, in this process where virtual time does."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.main import Gateway
from gateway.testing.clock import FakeClock
from gateway.testing.gate import Gate, listening_gate
from gateway.testing.process import GatewayProcess
from gateway.testing.server import in_process_gateway
from gateway.testing.waiting import until
from gateway.workers.local import LocalPool
from tests.scenarios.client import Client, connected

PROBE = Path(__file__).parent / "probe"

Sections = Mapping[str, Any]
StartGateway = Callable[..., Coroutine[Any, Any, Client]]

_keys = itertools.count(1)


def new_key() -> str:
    """Return an API key that no other test has: sessions of a gateway that tests share are told apart by it."""
    return f"key-{next(_keys)}"


@dataclass(frozen=True)
class VirtualGateway:
    """A gateway in this process whose time stands still, and a client of it."""

    gateway: Gateway
    clock: FakeClock
    client: Client

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self.clock.now().wall - 1_700_000_000.0

    async def someone_waits(self) -> None:
        """Wait until a call waits for a worker that is not to be had."""
        pool = self.gateway.pool
        assert isinstance(pool, LocalPool)
        await until(lambda: pool._waiters)


class StartVirtual:
    """Starts gateways on virtual time, all on one data directory: one at a time."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._stack = AsyncExitStack()

    async def __call__(
        self, apps: Mapping[str, Path] | None = None, clock: FakeClock | None = None, **sections: Sections
    ) -> VirtualGateway:
        """Start one; `sections` are those of the settings."""
        clock = clock or FakeClock()
        settings = {**sections, "workers": {"min_idle": 0, **sections.get("workers", {})}}
        running = in_process_gateway(self._data_dir, apps or {"probe": PROBE}, clock, **settings)
        served = await self._stack.enter_async_context(running)
        client = await self._stack.enter_async_context(connected(served.address))
        return VirtualGateway(served.gateway, clock, client)

    async def stop(self) -> None:
        """Stop what was started."""
        await self._stack.aclose()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        yield Path(directory)


@pytest.fixture
async def gate(short_path: Path) -> AsyncIterator[Gate]:
    """A gate at which functions of the app `probe` can be held."""
    async with listening_gate(short_path / "gate") as gate:
        yield gate


@pytest.fixture
async def start_virtual(tmp_path: Path) -> AsyncIterator[StartVirtual]:
    """Start a gateway on virtual time: `await start_virtual(apps={...}, clock=..., workers={...})`."""
    start = StartVirtual(tmp_path / "data")
    yield start
    await start.stop()


@pytest.fixture
async def virtual(start_virtual: StartVirtual) -> VirtualGateway:
    """A gateway on virtual time, with the app `probe`."""
    return await start_virtual()


@pytest.fixture(scope="session")
def shared_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One real gateway process for all scenarios that need no settings of their own."""
    apps = {"probe": PROBE, "other": PROBE, "acme/probe": PROBE}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), apps, ("--min-idle", "1")) as process:
        yield process


@pytest.fixture(params=["in-process", "process"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which kind of gateway a scenario runs against."""
    return str(request.param)


@pytest.fixture
async def start_gateway(kind: str, tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start a gateway with settings, in real time: `await start_gateway(workers={"max_workers": 1})`."""
    async with AsyncExitStack() as stack:

        async def start(apps: Mapping[str, Path] | None = None, **sections: Sections) -> Client:
            apps = apps or {"probe": PROBE, "other": PROBE}
            sections = {**sections, "workers": {"min_idle": 0, **sections.get("workers", {})}}
            if kind == "process":
                process = GatewayProcess(tmp_path / "data", apps, environment=_variables(sections))
                stack.callback(process.stop)
                await asyncio.to_thread(process.start)
                address = process.address
            else:
                running = in_process_gateway(tmp_path / "data", apps, SystemClock(), **sections)
                address = (await stack.enter_async_context(running)).address
            return await stack.enter_async_context(connected(address, new_key()))

        yield start


@pytest.fixture
async def client(kind: str, start_gateway: StartGateway, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A caller of its own of a gateway with plain settings and the apps `probe` and `other`."""
    if kind == "in-process":
        yield await start_gateway()
        return
    process: GatewayProcess = request.getfixturevalue("shared_process")
    async with connected(process.address, new_key()) as client:
        yield client


def _variables(sections: Mapping[str, Sections]) -> dict[str, str]:
    return {
        f"SGW_{section}_{name}".upper(): str(value)
        for section, values in sections.items()
        for name, value in values.items()
    }
