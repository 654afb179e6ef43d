"""`make demo-cluster`: Redis, Ray and three gateways on this machine, and a session's life through all of them.

Each step is checked, as in `make demo`. GATEWAYS says what the three are: `cluster` (Redis and Ray), `gateways` (Redis,
workers of their own) or `processes` (of one gateway).
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tools import demo_cluster_steps as steps
from tools.demo import played
from tools.example_apps import example_apps
from tools.fleet.group import ClusterGroup, Group, ProcessesGroup
from tools.fleet.missing import Missing
from tools.paths import ROOT
from tools.stage import Stage

Step = Callable[[Group, Stage], None]

STEPS: tuple[Step, ...] = (
    steps.one_session,
    steps.going_round,
    steps.a_death,
    steps.expiry,
    steps.the_return,
)

_APPS = ("kv",)

GROUPS: dict[str, Callable[[Path, dict[str, Path]], Group]] = {
    "cluster": partial(ClusterGroup, with_ray=True),
    "gateways": partial(ClusterGroup, with_ray=False),
    "processes": ProcessesGroup,
}


def main(kind: str, steps: Sequence[Step] = STEPS) -> int:
    """Play the steps and return the exit code."""
    if kind not in GROUPS:
        print(f"demo-cluster: GATEWAYS is one of {', '.join(GROUPS)}, not {kind!r}", file=sys.stderr)
        return 2
    # Under /tmp itself: Ray's sockets have long names, and a path of a socket has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sgw-") as scratch:
        apps = {name: ROOT / path for name, path in example_apps().items() if name in _APPS}
        try:
            group = GROUPS[kind](Path(scratch), apps)
        except Missing as error:
            print(f"demo-cluster: {error}", file=sys.stderr)
            return 1
        print("Starting three gateways, and what they need ...", flush=True)
        with group:
            print(f"Three gateways are listening on this machine only: {', '.join(group.addresses)}.\n{group.told}")
            stage = Stage(group.addresses[0])
            code = played(stage, [partial(step, group) for step in steps], lambda: group.log)
    if code == 0:
        print("The gateways, their workers and what they needed are gone.")
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is stopped then too
    sys.exit(main(os.environ.get("GATEWAYS") or "cluster"))
