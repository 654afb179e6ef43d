"""Plays chaos in each of the scenes named, for CHAOS_SECONDS each, and exits non-zero when a figure misses its mark."""

import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.chaos import report
from tools.chaos.gateways import Cluster, Gateways
from tools.chaos.ledger import Ledger
from tools.chaos.on_ray import OnRay
from tools.chaos.one_gateway import OneGateway
from tools.chaos.over_redis import OverRedis
from tools.chaos.play import play
from tools.chaos.processes import Processes
from tools.chaos.scene import Scene
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.fleet.missing import Missing
from tools.paths import ROOT

SCENES: dict[str, type[Scene]] = {scene.name: scene for scene in (OneGateway, Processes, Gateways, OnRay, Cluster)}

_LOG = 6000
"""Characters of the log that are printed when something went wrong."""


def main(names: Sequence[str]) -> int:
    """Play, judge, report. Returns the exit code: 0 only if every scene was played and all is as it must be."""
    unknown = [name for name in names if name not in SCENES]
    if unknown or not names:
        print(f"chaos: there is no scene {', '.join(unknown)}; there are: {', '.join(SCENES)}", file=sys.stderr)
        return 2
    seconds = float(os.environ.get("CHAOS_SECONDS", "180"))
    seed = int(os.environ.get("CHAOS_SEED", str(random.randrange(2**32))))
    # Taken away: with it, what starts a gateway for tests gives it a Redis of its own.
    if os.environ.pop("STORE", "") == "redis":
        SCENES[OneGateway.name] = OverRedis
    played: dict[str, list[report.Row]] = {}
    well = True
    for name in names:
        random.seed(seed)
        print(f"chaos, {name}: for {seconds:g} s, CHAOS_SEED={seed}", flush=True)
        try:
            well = _played(SCENES[name], seconds, played) and well
        except Missing as error:
            well = False
            print(f"chaos, {name}: NOT PLAYED: {error}", flush=True)
    if list(played) == [OneGateway.name]:
        report.write(played[OneGateway.name], ROOT / "build" / "chaos.json")
    elif played:
        report.write(played, ROOT / "build" / "chaos-cluster.json")
    return 0 if well else 1


def _played(scene_type: type[Scene], seconds: float, played: dict[str, list[report.Row]]) -> bool:
    tally, troubles = Tally(), Troubles()
    with tempfile.TemporaryDirectory(prefix="sgw-chaos-") as directory:
        scratch = Path(directory)
        scene = scene_type(scratch, tally, troubles)
        play(scene, Ledger(scratch / "ledger"), seconds)
        rows = report.figures(tally, list(scene.strikes), scene.limits)
        if tally.remarks:
            print(scene.log[-_LOG:])
            log = ROOT / "build" / f"chaos-{scene_type.name}.log"
            log.parent.mkdir(exist_ok=True)
            log.write_text("\n".join([*scene.done, "", scene.log]))
            print(f"all of the log: {log.relative_to(ROOT)}")
    played[scene_type.name] = rows
    return report.show(rows, tally.remarks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
