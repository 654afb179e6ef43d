"""The scene of `make chaos`: one gateway, which is killed and upgraded."""

import random
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.testing.process import GatewayProcess
from tools.chaos.scene import APPS, Scene
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.fleet.ports import free_port

FLAGS = ("--min-idle", "4", "--log-level", "warning")


class OneGateway(Scene):
    """`sgw serve`, and its workers."""

    name = "gateway"
    apps: Mapping[str, Path] = APPS
    flags: tuple[str, ...] = FLAGS
    environment: Mapping[str, str] = {}

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles, host: str = "127.0.0.1") -> None:
        """`host` is what it listens at. Raises Missing."""
        super().__init__(scratch, tally, troubles)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.each = (self.address,)
        self.data_dirs = (scratch / "data",)
        self.strikes = {
            "gateway_kills": self._kill,
            "gateway_upgrades": self._upgrade,
            "worker_kills": self.kill_worker,
        }
        self._listen = f"{host}:{self.port}"
        self.gateway = self._made("keep")

    @property
    def log(self) -> str:
        """What the gateway has logged."""
        return self.gateway.log

    def start(self) -> None:
        """Start the gateway."""
        self.gateway.start()

    def end_sessions(self) -> None:
        """Have one more gateway end what is still there."""
        self.gateway.stop()
        with self._made("end"):
            pass

    def stop(self) -> None:
        """Stop the gateway."""
        self.gateway.stop()

    def _kill(self) -> bool:
        with self.troubles.trouble():
            self.gateway.kill()
            time.sleep(random.uniform(0.0, 0.7))
            self._return()
        return True

    def _upgrade(self) -> bool:
        with self.troubles.trouble():
            self.gateway.terminate()
            self.gateway.wait()
            self._return()
        return True

    def _return(self) -> None:
        began = time.monotonic()
        self.gateway.start()
        self.tally.slowest_return = max(self.tally.slowest_return, time.monotonic() - began)

    def _made(self, drain: str) -> GatewayProcess:
        flags = (*self.flags, "--listen", self._listen)
        return GatewayProcess(self.data_dirs[0], self.apps, flags, drain, self.environment)
