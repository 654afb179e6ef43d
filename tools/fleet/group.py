"""Three gateways as the demonstration has them: one is killed, and comes back."""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from gateway.testing.process import GatewayProcess
from tools.fleet.members import COUNT, TAKEOVER, Members
from tools.fleet.processes_of import children_of

_RETURN = 60.0
_GLANCE = 0.02


class Group(ABC):
    """The gateways. A context manager: at its end nothing of them is left."""

    addresses: tuple[str, ...]
    """Each of them by itself."""
    address: str
    """What a client goes round."""
    told: str
    """What runs, in a sentence or two."""
    told_of_death: str
    """What becomes of the sessions of a gateway that dies."""

    @abstractmethod
    def __enter__(self) -> "Group":
        """Start all."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """End all."""

    @property
    @abstractmethod
    def log(self) -> str:
        """What the gateways have logged."""

    @abstractmethod
    def kill(self) -> None:
        """Kill the first gateway (SIGKILL)."""

    @abstractmethod
    def revive(self) -> None:
        """Have it serve again."""


class ClusterGroup(Group):
    """Gateways on one Redis, with the workers of a Ray cluster, or with workers of their own."""

    def __init__(self, scratch: Path, apps: Mapping[str, Path], *, with_ray: bool) -> None:
        """Raises Missing."""
        self._members = Members(scratch, apps, with_ray=with_ray)
        self._with_ray = with_ray
        self.addresses = self._members.addresses
        self.address = self._members.address
        self.told = f"Redis keeps the records of sessions, at {self._members.redis.url}."
        if self._members.ray is not None:
            self.told += f" Ray runs the workers, on three nodes at {self._members.ray.address}."
            self.told_of_death = f"Its sessions are another's after {TAKEOVER:g} s; their workers never noticed."
        else:
            self.told_of_death = "Its workers wait for it, with all state; it is started again at once."

    def __enter__(self) -> "ClusterGroup":
        """Start all."""
        try:
            self._members.start()
        except BaseException:
            self._members.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all; no session is left."""
        try:
            self._members.end()
        finally:
            self._members.stop()

    @property
    def log(self) -> str:
        """What the gateways have logged, one after another."""
        return "\n".join(gateway.log for gateway in self._members.gateways)

    def kill(self) -> None:
        """Kill the first gateway; without Ray it is started again, since nobody else reaches its workers."""
        self._members.gateways[0].kill()
        if not self._with_ray:
            self._members.gateways[0].start()

    def revive(self) -> None:
        """Start it again, unless it runs."""
        if self._with_ray:
            self._members.gateways[0].start()


class ProcessesGroup(Group):
    """The processes of one gateway: the system deals connections out to them, so they share an address."""

    told = (
        "They are the processes of one gateway, on one port and one data directory; connections are dealt out to them."
    )
    told_of_death = "Its workers wait with all state, and it is started again at once."

    def __init__(self, scratch: Path, apps: Mapping[str, Path]) -> None:
        self._gateway = GatewayProcess(scratch / "data", apps, ("--processes", str(COUNT)))
        self._killed = 0

    def __enter__(self) -> "ProcessesGroup":
        """Start them."""
        self._gateway.start()
        self.address = self._gateway.address
        self.addresses = (self.address,) * COUNT
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        self._gateway.__exit__(None, None, None)

    @property
    def log(self) -> str:
        """What they have logged."""
        return self._gateway.log

    def kill(self) -> None:
        """Kill one of them; the supervisor starts it again."""
        os.kill(children_of(self._gateway.pid)[0], signal.SIGKILL)
        self._killed += 1

    def revive(self) -> None:
        """Wait until it serves again. Raises TimeoutError."""
        until = time.monotonic() + _RETURN
        while self.log.count("serves again") < self._killed:
            if time.monotonic() > until:
                raise TimeoutError("the process that was killed did not come back")
            time.sleep(_GLANCE)
