"""The scene of several gateway processes on one machine: each of them is killed, paused and left hanging by itself."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.chaos.one_gateway import OneGateway
from tools.chaos.scene import LIMITS
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.fleet.processes_of import children_of

COUNT = 3
HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 13))
"""Addresses of this machine alone. The system deals connections out to the processes, so that twelve of them come to
all three in 49 of 50 runs, and to others after each death."""

HANG_TIMEOUT = 5.0
"""Seconds after which a process that does not answer is killed here."""

_SERVES_AGAIN = "serves again"
_RETURN = 60.0
_GLANCE = 0.01


class Processes(OneGateway):
    """`sgw serve --processes 3`, and its workers."""

    name = "processes"
    callers = 16
    limits: Mapping[str, float] = {**LIMITS, "slowest_detection": 0.5}
    flags = ("--processes", str(COUNT), "--min-idle", "6", "--log-level", "info", "--insecure")
    # Keys, as what listens at all addresses of loopback listens to other machines, too.
    environment: Mapping[str, str] = {"SGW_SERVER_HANG_TIMEOUT": str(HANG_TIMEOUT), "SGW_SERVER_AUTH": "keys"}

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles) -> None:
        """Raises Missing."""
        super().__init__(scratch, tally, troubles, host="0.0.0.0")  # behind a key
        self.address = "ipv4:" + ",".join(f"{host}:{self.port}" for host in HOSTS)
        self.each = tuple(f"{host}:{self.port}" for host in HOSTS[:COUNT])
        self.strikes |= {
            "process_kills": self._kill_process,
            "process_pauses": self._pause_process,
            "process_hangs": self._hang_process,
        }

    def start(self) -> None:
        """Make a key, and start the gateway."""
        self.api_key = _key(self.data_dirs[0])
        super().start()

    def _kill_process(self) -> bool:
        with self.troubles.trouble(), self._returning():
            os.kill(self._any_process(), signal.SIGKILL)
        return True

    def _pause_process(self) -> bool:
        """Stop a process for a moment, too short for anybody to judge it dead."""
        with self.troubles.trouble():
            victim = self._any_process()
            os.kill(victim, signal.SIGSTOP)
            time.sleep(random.uniform(0.05, HANG_TIMEOUT / 2))
            os.kill(victim, signal.SIGCONT)
        return True

    def _hang_process(self) -> bool:
        """Stop a process until the supervisor kills it."""
        with self.troubles.trouble(), self._returning(HANG_TIMEOUT):
            os.kill(self._any_process(), signal.SIGSTOP)
        return True

    @contextmanager
    def _returning(self, patience: float = 0.0) -> Iterator[None]:
        """Wait at the end of the block until the process that it has ended serves again. Raises TimeoutError."""
        before = self.log.count(_SERVES_AGAIN)
        yield
        began = time.monotonic()
        while self.log.count(_SERVES_AGAIN) == before:
            if time.monotonic() > began + _RETURN:
                raise TimeoutError(f"a process is not back after {_RETURN:g} s: {self.log[-2000:]}")
            time.sleep(_GLANCE)
        took = time.monotonic() - began - patience
        self.tally.slowest_return = max(self.tally.slowest_return, took)

    def _any_process(self) -> int:
        return random.choice(children_of(self.gateway.pid))


def _key(data_dir: Path) -> str:
    command = [sys.executable, "-m", "gateway.cli", "key", "create", "chaos", "--json", "--data-dir", str(data_dir)]
    return str(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["key"])
