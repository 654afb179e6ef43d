"""What chaos is played with: gateways, what can be done to them, and what must be gone in the end."""

import os
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from gateway.workers.runtime import runtime_directory
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.paths import ROOT

APPS = {"chaos": ROOT / "tools" / "chaos" / "app"}

LIMITS = {
    "latest_expiry": 0.5,
    "latest_expiry_after_trouble": 3.0,
    "slowest_detection": 0.1,
    "slowest_return": 10.0,
}
"""Seconds that the extremes of the tally may reach."""


class Scene(ABC):
    """Gateways that are one to their callers. Made with what `__init__` sets here; nothing is started by that."""

    name = ""
    callers = 8
    limits: Mapping[str, float] = LIMITS

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles) -> None:
        """Everything is kept in `scratch`. Raises Missing."""
        self.scratch = scratch
        self.tally = tally
        self.troubles = troubles
        self.api_key = "chaos"
        self.address = ""
        """What a client goes round."""
        self.each: tuple[str, ...] = ()
        """Every gateway by itself."""
        self.data_dirs: tuple[Path, ...] = ()
        """Where the gateways have what is theirs."""
        self.strikes: dict[str, Callable[[], bool]] = {}
        """What can be done, by the name under which it is counted. Each returns whether it was done."""
        self.done: list[str] = []
        """What was done, and when it began, in the form of the log's lines."""

    @property
    @abstractmethod
    def log(self) -> str:
        """What the gateways have logged."""

    @abstractmethod
    def start(self) -> None:
        """Start everything, and wait until calls are taken. Raises Missing."""

    @abstractmethod
    def end_sessions(self) -> None:
        """Stop all gateways such that no session is left."""

    @abstractmethod
    def stop(self) -> None:
        """Stop everything, however far it has come. Stopping twice is fine."""

    def strike(self, name: str) -> None:
        """Do something, and count it."""
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        if self.strikes[name]():
            self.tally.strikes[name] += 1
            self.done.append(f"{began} {name}")

    def kill_worker(self) -> bool:
        """Kill one of the workers on this machine."""
        runtimes = [runtime_directory(data_dir) for data_dir in self.data_dirs]
        found = [entry for runtime in runtimes for entry in runtime.glob("wrk_*") if entry.is_dir()]
        if not found:
            return False
        victim = random.choice(found)
        try:
            pid = int((victim / "pid").read_text().split()[0])
            self.troubles.killed[victim.name] = time.time()
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            return False  # it has just ended by itself
        return True
