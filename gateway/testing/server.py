"""A gateway inside the test's own process, on a clock that the test moves."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.config import Settings
from gateway.main import Gateway
from gateway.testing.clock import FakeClock
from gateway.testing.isolation import isolation
from gateway.testing.store import store_for
from gateway.testing.transport import transport


@dataclass(frozen=True)
class InProcessGateway:
    """A running gateway: real server, real store, real workers; only time may be virtual."""

    address: str
    gateway: Gateway
    clock: Clock


@asynccontextmanager
async def in_process_gateway(
    data_dir: Path,
    apps: Mapping[str, Path] | None = None,
    clock: Clock | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[InProcessGateway]:
    """Run a gateway on a free loopback port. `sections` are those of the settings, such as `workers={"min_idle": 0}`.

    Without a `clock` time is virtual: the timers of the gateway come only when the test advances its FakeClock.
    """
    clock = clock or FakeClock()
    server = {"listen": "127.0.0.1:0", "drain": "end", "drain_grace": 5.0, "transport": transport()}
    server |= sections.pop("server", {})
    sections["workers"] = {"isolation": isolation(), **sections.pop("workers", {})}
    sections = {"store": store_for(data_dir), **sections}
    settings = Settings.model_validate({"data_dir": data_dir, "apps": dict(apps or {}), "server": server, **sections})
    gateway = Gateway(settings, clock)
    if isinstance(clock, FakeClock):
        clock.elsewhere = getattr(gateway.store.inside, "quiet", None)
    async with gateway.running() as address:
        yield InProcessGateway(address, gateway, clock)
