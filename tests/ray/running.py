"""A Ray cluster of several nodes on this machine, for tests: `python -m tests.ray.running DIRECTORY NODES CPUS`.

Says its address in one line when it is there. Then it takes orders, a line each, and says `done`: `kill NODE` (all its
processes), `add NODE`, `stop head`, `go on head` (SIGSTOP and SIGCONT to what keeps the cluster's state), and ends with
its standard input. Node 0 is the head's, where drivers are. Each has a resource of its own, `placeNODE`.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_TMPDIR": sys.argv[1],
    "TMPDIR": sys.argv[1],
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    # Nothing is started before it is asked for: three nodes would each begin with as many interpreters as they have
    # processors, of which this machine has few.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # Actors of tests come and go: an interpreter that is no longer needed goes soon.
    "RAY_idle_worker_killing_time_threshold_ms": "2000",
    "RAY_memory_monitor_refresh_ms": "0",
    # Packages that are not there are not there the second time either.
    "RUNTIME_ENV_RETRY_TIMES": "1",
    # A node that is killed is given up as soon as on a network that is not loaded.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_health_check_initial_delay_ms": "2000",
}

from ray.cluster_utils import Cluster  # reads its environment when it is loaded

from gateway.worker.orphan import die_with_parent

_OBJECT_STORE = 78 * 1024 * 1024


_GPUS = 2
"""Of the second node, which it says that it has: Ray takes its word, and gives them out by their numbers."""


def _has(node: int) -> dict[str, Any]:
    """Return what a node has to offer besides processors."""
    return {"resources": {f"place{node}": 100}, "num_gpus": _GPUS if node == 1 else 0}


def main(nodes: int, cpus: int) -> None:
    """Run it."""
    die_with_parent()
    (Path(sys.argv[1]) / "ray").mkdir(exist_ok=True)  # where it notes its address
    common = {"num_cpus": cpus, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**common, "resources": {"place0": 100}},
    )
    others = [cluster.add_node(**common, **_has(node)) for node in range(1, nodes)]
    all_nodes = [cluster.head_node, *others]
    say(cluster.address)
    for line in sys.stdin:
        match line.split():
            case ["kill", number]:
                cluster.remove_node(all_nodes[int(number)], allow_graceful=False)
            case ["add", number]:
                all_nodes.append(cluster.add_node(**common, **_has(int(number))))
            case ["stop", "head"]:
                _head(cluster, signal.SIGSTOP)
            case ["go", "on", "head"]:
                _head(cluster, signal.SIGCONT)
        say("done")
    cluster.shutdown()


def say(line: str) -> None:
    """Answer whoever started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _head(cluster: Cluster, number: signal.Signals) -> None:
    (server,) = cluster.head_node.all_processes["gcs_server"]
    os.kill(server.process.pid, number)


if __name__ == "__main__":
    main(int(sys.argv[2]), int(sys.argv[3]))
