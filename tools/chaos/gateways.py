"""The scenes of several gateways on one Redis: with their own workers, and with those that Ray places."""

import random
import signal
import time
from pathlib import Path

from gateway.testing.process import GatewayProcess
from gateway.workers.runtime import runtime_directory
from tools.chaos.node_strikes import NodeStrikes
from tools.chaos.on_ray import RAY_LIMITS, OnRay
from tools.chaos.scene import APPS, Scene
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.fleet.members import TAKEOVER, Members
from tools.fleet.processes_of import send

FLAGS = ("--log-level", "info")

_CATCH_UP = 1.0
"""Seconds in which gateways find Redis again, for which they look at intervals."""


class Gateways(Scene):
    """Three gateways with a data directory and workers each, which no other gateway reaches: who takes over from one
    that was away for too long finds its sessions lost.
    """

    name = "gateways"
    with_ray = False
    flags: tuple[str, ...] = (*FLAGS, "--min-idle", "3")

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles) -> None:
        """Raises Missing."""
        super().__init__(scratch, tally, troubles)
        self.members = Members(scratch, APPS, self.flags, with_ray=self.with_ray)
        self.address = self.members.address
        self.each = self.members.addresses
        self.data_dirs = self.members.data_dirs
        self.strikes = {
            "gateway_kills": self._kill,
            "gateway_upgrades": self._upgrade,
            "gateway_pauses": self._pause,
            "gateway_losses": self._lose,
            "gateway_hangs": self._hang,
            "redis_kills": self._kill_redis,
            "worker_kills": self.kill_worker,
        }

    @property
    def log(self) -> str:
        """What the gateways have logged, one after another."""
        return "\n".join(gateway.log for gateway in self.members.gateways)

    def start(self) -> None:
        """Start everything."""
        self.members.start()

    def end_sessions(self) -> None:
        """Have the gateways once more start, each with what is its own, and end it."""
        self.members.end()

    def stop(self) -> None:
        """Stop everything."""
        self.members.stop()

    def _kill(self) -> bool:
        with self.troubles.trouble():
            gateway = self.any_gateway()
            gateway.kill()
            time.sleep(random.uniform(0.0, 0.7))
            self.bring_back(gateway)
        return True

    def _upgrade(self) -> bool:
        with self.troubles.trouble():
            gateway = self.any_gateway()
            gateway.terminate()
            gateway.wait()
            self.bring_back(gateway)
        return True

    def _pause(self) -> bool:
        """Stop a gateway for a moment, too short for others to take over from it."""
        with self.troubles.trouble():
            gateway = self.any_gateway()
            send([gateway.pid], signal.SIGSTOP)
            time.sleep(random.uniform(0.05, TAKEOVER / 2))
            send([gateway.pid], signal.SIGCONT)
        return True

    def _lose(self) -> bool:
        """Kill a gateway, and bring it back only when others have taken over from it."""
        with self.troubles.trouble():
            gateway = self.any_gateway()
            gateway.kill()
            self.given_up(gateway)
            time.sleep(_taken_over())
            self.bring_back(gateway)
        return True

    def _hang(self) -> bool:
        """Stop a gateway until others have taken over from it, then let it go on."""
        with self.troubles.trouble():
            gateway = self.any_gateway()
            send([gateway.pid], signal.SIGSTOP)
            self.given_up(gateway)
            time.sleep(_taken_over())
            send([gateway.pid], signal.SIGCONT)
        return True

    def given_up(self, gateway: GatewayProcess) -> None:
        """Note what is lost with a gateway that others take over from: its workers."""
        workers = runtime_directory(gateway.data_dir).glob("wrk_*")
        self.troubles.killed |= dict.fromkeys((worker.name for worker in workers), time.time())

    def _kill_redis(self) -> bool:
        with self.troubles.trouble():
            self.members.redis.restart()
            time.sleep(_CATCH_UP)
        return True

    def any_gateway(self) -> GatewayProcess:
        """Return one of them."""
        return random.choice(self.members.gateways)

    def bring_back(self, gateway: GatewayProcess) -> None:
        """Start a gateway again, and note how long that takes."""
        began = time.monotonic()
        gateway.start()
        self.tally.slowest_return = max(self.tally.slowest_return, time.monotonic() - began)


class Cluster(Gateways):
    """The same with workers that any gateway reaches: one may be away for as long as it likes, and nodes die."""

    name = "cluster"
    with_ray = True
    callers = OnRay.callers
    flags = (*FLAGS, "--min-idle", "2")
    limits = RAY_LIMITS

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles) -> None:
        """Raises Missing."""
        super().__init__(scratch, tally, troubles)
        assert self.members.ray is not None
        on_nodes = NodeStrikes(self.members.ray, troubles)
        self.strikes |= {"worker_kills": on_nodes.kill_worker, "node_kills": on_nodes.kill_node}

    def given_up(self, gateway: GatewayProcess) -> None:
        """Lose nothing: whoever takes over reaches the workers."""


def _taken_over() -> float:
    """Return after how many seconds others have taken over."""
    return TAKEOVER + random.uniform(1.0, 3.0)
