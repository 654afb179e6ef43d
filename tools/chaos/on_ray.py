"""The scene of one gateway whose workers Ray places: the gateway is killed, and so are workers and nodes."""

from collections.abc import Mapping
from pathlib import Path

from tools.chaos.node_strikes import NodeStrikes
from tools.chaos.one_gateway import OneGateway
from tools.chaos.scene import LIMITS
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.fleet.members import check, on_ray
from tools.fleet.ray_nodes import RayNodes

RAY_LIMITS: Mapping[str, float] = {
    **LIMITS,
    "slowest_detection": 2.0,
    "slowest_node_detection": 2.0,
    "slowest_return": 30.0,
}
"""It is an actor that sees its worker's end, and tells. With a node it goes as well, and what it would have told is
waited for; then the end is put on record, by gateways that have much else to do. One that starts waits for its driver.
"""


class OnRay(OneGateway):
    """`sgw serve --pool ray`, and a Ray cluster of three nodes."""

    name = "ray"
    # An actor takes a good part of a second of processor time, and each session needs one.
    callers = 4
    limits = RAY_LIMITS
    flags = ("--log-level", "info", "--min-idle", "2")

    def __init__(self, scratch: Path, tally: Tally, troubles: Troubles) -> None:
        """Raises Missing."""
        check(with_ray=True, in_cluster=False)
        self._nodes = RayNodes(scratch / "ray")
        self.environment = on_ray(self._nodes)
        super().__init__(scratch, tally, troubles)
        strikes = NodeStrikes(self._nodes, troubles)
        self.strikes |= {"worker_kills": strikes.kill_worker, "node_kills": strikes.kill_node}

    def start(self) -> None:
        """Start the nodes and the gateway."""
        self._nodes.start()
        super().start()

    def stop(self) -> None:
        """Stop the gateway and the nodes."""
        try:
            super().stop()
        finally:
            self._nodes.stop()
