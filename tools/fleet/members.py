"""Three gateways on one Redis, which are one to their callers; with workers of their own, or with those of Ray."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from gateway.config import Settings
from gateway.testing.process import GatewayProcess
from tools.fleet.missing import Missing
from tools.fleet.ports import free_port
from tools.fleet.ray_nodes import ENVIRONMENT, RayNodes
from tools.fleet.records import RedisRecords

COUNT = 3

TAKEOVER = 4.0
"""Seconds after which others take over what a gateway had that is not heard of."""


class Members:
    """Redis, Ray if it is asked for, and the gateways."""

    def __init__(
        self, scratch: Path, apps: Mapping[str, Path], flags: tuple[str, ...] = (), *, with_ray: bool = False
    ) -> None:
        """Everything is kept in `scratch`. Nothing is started. Raises Missing."""
        check(with_ray=with_ray, in_cluster=True)
        self._apps = apps
        self._flags = flags
        self.redis = RedisRecords(scratch / "redis")
        self.ray = RayNodes(scratch / "ray") if with_ray else None
        self.data_dirs = tuple(scratch / f"gateway{number}" for number in range(1, COUNT + 1))
        self.addresses = tuple(f"127.0.0.1:{free_port()}" for _ in range(COUNT))
        self.gateways = [self.made(number, "keep") for number in range(COUNT)]

    @property
    def address(self) -> str:
        """What a client goes round."""
        return "ipv4:" + ",".join(self.addresses)

    def made(self, number: int, drain: str) -> GatewayProcess:
        """Return one of the gateways, not started."""
        flags = ["--store", self.redis.url, "--cluster-listen", "127.0.0.1:0", "--listen", self.addresses[number]]
        environment = {"SGW_CLUSTER_TAKEOVER": str(TAKEOVER)}
        if self.ray is not None:
            environment |= on_ray(self.ray)
        return GatewayProcess(self.data_dirs[number], self._apps, (*flags, *self._flags), drain, environment)

    def start(self) -> None:
        """Start everything, and wait until all gateways take calls."""
        self.redis.start()
        if self.ray is not None:
            self.ray.start()
        for gateway in self.gateways:
            gateway.start()

    def end(self) -> None:
        """Stop the gateways, and have each start once more with what is its own, to end it."""
        for gateway in self.gateways:
            gateway.stop()
        ending = [self.made(number, "end") for number in range(COUNT)]
        with ExitStack() as stack:
            for gateway in ending:
                stack.enter_context(gateway)

    def stop(self) -> None:
        """Stop everything, however far it has come. Stopping twice is fine."""
        with ExitStack() as stack:
            if self.ray is not None:
                stack.callback(self.ray.stop)
            stack.callback(self.redis.stop)
            for gateway in self.gateways:
                stack.callback(gateway.stop)


def on_ray(nodes: RayNodes) -> dict[str, str]:
    """Return the settings, as variables, of a gateway whose workers are on these nodes."""
    return {**ENVIRONMENT, "SGW_WORKERS_POOL": "ray", "SGW_RAY_ADDRESS": nodes.address}


def check(*, with_ray: bool, in_cluster: bool) -> None:
    """Raise Missing if the gateway of this tree cannot be started so."""
    needed = {"cluster": "--cluster-listen"} if in_cluster else {}
    needed |= {"ray": "--pool ray"} if with_ray else {}
    absent = [flag for section, flag in needed.items() if section not in Settings.model_fields]
    if absent:
        raise Missing(f"this release has no {', no '.join(absent)}")
