"""What is done to the nodes of a Ray cluster, and to the workers on them."""

import random
import signal
import time

from tools.chaos.troubles import Troubles
from tools.fleet.processes_of import mark_on, send
from tools.fleet.ray_nodes import RayNodes

_ROUNDS = 3
"""Until no process has started another one that was not seen: stopped ones start none."""


class NodeStrikes:
    """Kills workers and nodes, and notes which workers are gone with them."""

    def __init__(self, nodes: RayNodes, troubles: Troubles) -> None:
        self._nodes = nodes
        self._troubles = troubles

    def kill_worker(self) -> bool:
        """Kill one of the workers on any node."""
        pids = [pid for node in (0, *self._nodes.others()) for pid in self._nodes.pids(node)]
        workers = [pid for pid in pids if mark_on(pid) is not None]
        return bool(workers) and self._kill([random.choice(workers)], self._troubles.killed_marks)

    def kill_node(self) -> bool:
        """Kill all processes of a node, but not of the head, and start it again: of the one with the most workers."""
        node = max(
            self._nodes.others(), key=lambda each: sum(mark_on(pid) is not None for pid in self._nodes.pids(each))
        )
        with self._troubles.trouble(of_gateways=False):
            # Stopped first: a worker that is not there when they are counted never comes to be.
            for _ in range(_ROUNDS):
                send(self._nodes.pids(node), signal.SIGSTOP)
            self._kill(self._nodes.pids(node), self._troubles.dead_with_node)
            self._nodes.revive(node)
        return True

    def _kill(self, pids: list[int], noted: dict[int, float]) -> bool:
        marks = [mark for pid in pids if (mark := mark_on(pid)) is not None]
        noted |= dict.fromkeys(marks, time.time())
        send(pids, signal.SIGKILL)
        return bool(marks)
