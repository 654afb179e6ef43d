"""A Ray cluster of several nodes on this machine, each with processes of its own, which can be killed one by one."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tools.fleet.missing import Missing
from tools.fleet.ports import free_port
from tools.fleet.processes_of import below, send

_START = 90.0
"""Seconds for a node to say that it runs. Ray starts half a dozen processes, each of which imports much."""

_RUNS = "Ray runtime started"
_STORE_BYTES = 78_643_200
"""The least that Ray takes: no object is ever stored."""

ENVIRONMENT = {
    # A token of this user's is for other clusters; this one is on loopback, for some minutes.
    "RAY_AUTH_MODE": "disabled",
    # No interpreter is started before an actor needs it: a node would begin with one for each of its processors.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # Nodes on one machine are as one to its memory: none may end workers for what others take.
    "RAY_memory_monitor_refresh_ms": "0",
    # A node that was killed is given up within some seconds, not after half a minute.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_health_check_initial_delay_ms": "2000",
}


class RayNodes:
    """One head, which stays, and others."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        """Makes the directory, whose path must be short: Ray has sockets in it. Raises Missing."""
        if importlib.util.find_spec("ray") is None:
            raise Missing(f"Ray is not installed for {sys.executable}: install the extra [ray] of the gateway")
        directory.mkdir(parents=True)
        self._directory = directory
        self._count = count
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.address = f"127.0.0.1:{free_port()}"

    def start(self) -> None:
        """Start all nodes. Raises RuntimeError with what a node said."""
        for number in range(self._count):
            self._nodes.append(self._started(number))

    def pids(self, number: int) -> list[int]:
        """Return the processes of a node, workers included."""
        # Zygotes, and workers with them, are not below it: their command lines name the node's temporary directory.
        roots = {self._nodes[number].pid, *named_in_commands(self._temporary(number))}
        return sorted({pid for root in roots for pid in below(root)})

    def others(self) -> range:
        """Return the numbers of the nodes but for the head."""
        return range(1, self._count)

    def revive(self, number: int) -> None:
        """Start a node again of which `pids` were killed."""
        self._nodes[number].wait()
        self._nodes[number] = self._started(number)

    def stop(self) -> None:
        """Kill all nodes. Stopping twice is fine."""
        doomed = [pid for node in self._nodes for pid in below(node.pid) if node.poll() is None]
        send(doomed, signal.SIGKILL)
        for node in self._nodes:
            node.wait()
        # Those whose parents ended before are found by the directory that their command lines name.
        send(named_in_commands(self._directory), signal.SIGKILL)
        self._nodes.clear()

    def _temporary(self, number: int) -> Path:
        """Where a node has the files of its workers, as it would on a machine of its own."""
        return self._directory / f"node{number}"

    def _started(self, number: int) -> "subprocess.Popen[bytes]":
        port = self.address.rpartition(":")[2]
        role = ["--head", f"--port={port}"] if number == 0 else [f"--address={self.address}"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *role, "--block", "--disable-usage-stats"]
        command += ["--node-ip-address=127.0.0.1", "--num-cpus=8", f"--object-store-memory={_STORE_BYTES}"]
        if number == 0:
            command += ["--include-dashboard=false", f"--temp-dir={self._directory}"]
        self._temporary(number).mkdir(exist_ok=True)
        log = self._directory / f"node{number}.log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **ENVIRONMENT, "TMPDIR": str(self._temporary(number))},
            )
        until = time.monotonic() + _START
        while _RUNS not in log.read_text(errors="replace"):
            if node.poll() is not None or time.monotonic() > until:
                send(below(node.pid), signal.SIGKILL)
                node.wait()
                raise RuntimeError(f"a node of Ray did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return node


def named_in_commands(directory: Path) -> list[int]:
    """Return the processes whose command lines name a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(directory) in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found
