"""The servers that scenarios are played against: real gateways, shared where that is possible, and the fake one."""

import asyncio
import random
import shutil
import socket
import sqlite3
import tempfile
from contextlib import AsyncExitStack, closing
from pathlib import Path

from gateway.apps.deploy import deploy
from gateway.testing.process import GatewayProcess
from tools.conformance.certificates import certificates
from tools.conformance.fake import FakeGateway
from tools.conformance.scenarios import FOLDER, GatewayNeeds

APP = FOLDER / "app"

APPS = {
    "probe": APP / "probe",
    "other": APP / "probe",
    "acme/probe": APP / "probe",
    "versioned@1": APP / "probe",
    "versioned@2": APP / "probe",
    "parallel": APP / "parallel",
    "broken": APP / "broken",
}
"""What a real gateway serves if the scenario names nothing."""

LIMITED_APPS = {"limited": APP / "limited", "shortlived": APP / "shortlived"}
"""What it serves besides, if the scenario names it: most gateways have no limits to watch."""

# Below the range from which systems take ports for outgoing connections, so that none of these takes the port of a
# gateway while that is down.
_PORTS = range(20000, 30000)


class RealGateway:
    """A gateway process that can be stopped, killed and started again at the same address and on the same data."""

    def __init__(self, needs: GatewayNeeds) -> None:
        """Nothing is started yet."""
        self._directory = Path(tempfile.mkdtemp(prefix="sgw"))
        self.address = f"127.0.0.1:{_free_port()}"
        self.data_dir = self._directory / "data"
        variables = {f"SGW_{name.replace('.', '_').upper()}": value for name, value in needs.settings}
        apps = {name: (APPS | LIMITED_APPS)[name] for name in needs.apps or APPS}
        flags = ("--listen", self.address, "--log-level", "warning")
        self.process = GatewayProcess(
            self.data_dir, apps, flags, needs.drain, {"SGW_WORKERS_MIN_IDLE": "0", **variables}
        )
        self._lock: sqlite3.Connection | None = None

    async def start(self) -> None:
        """Start it, again if it has ended."""
        await asyncio.to_thread(self.process.start)

    async def stop(self) -> None:
        """Send SIGTERM and wait for the end."""
        await asyncio.to_thread(self.process.stop)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        await asyncio.to_thread(self.process.kill)

    def deploy(self, name: str, app: str) -> None:
        """Deploy one of the apps of the scenarios under a name."""
        deploy(APP / app, self.data_dir / "apps", name)

    def lock_store(self) -> None:
        """Take the file of the records, so that the gateway can neither read nor write it."""
        self._lock = sqlite3.connect(self.data_dir / "sessions.db", isolation_level=None, timeout=10)
        self._lock.execute("BEGIN EXCLUSIVE")

    def unlock_store(self) -> None:
        """Give it back. One that is not taken is fine."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    async def close(self) -> None:
        """Stop it and remove all that it has left."""
        self.unlock_store()
        await asyncio.to_thread(self.process.__exit__, None, None, None)
        shutil.rmtree(self._directory, ignore_errors=True)


class Gateways:
    """Hands servers to scenarios. Those that several use live until this is closed."""

    def __init__(self) -> None:
        self._shared: dict[GatewayNeeds, RealGateway] = {}
        self._stack = AsyncExitStack()

    async def lend(self, needs: GatewayNeeds, own: AsyncExitStack) -> RealGateway | FakeGateway:
        """Return a running server; one of the scenario's own ends with `own`."""
        if needs.kind != "real":
            tls = await asyncio.to_thread(certificates) if needs.kind != "fake" else None
            return await own.enter_async_context(FakeGateway(tls, ask=needs.kind == "fake-mtls"))
        if needs.own:
            return await self._started(needs, own)
        if needs not in self._shared:
            self._shared[needs] = await self._started(needs, self._stack)
        return self._shared[needs]

    async def close(self) -> None:
        """Stop all that are shared."""
        await self._stack.aclose()

    async def _started(self, needs: GatewayNeeds, stack: AsyncExitStack) -> RealGateway:
        gateway = RealGateway(needs)
        stack.push_async_callback(gateway.close)
        await gateway.start()
        return gateway


def _free_port() -> int:
    for port in random.sample(_PORTS, 50):
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
