"""Runs chaos for CHAOS_SECONDS (default 180) and exits non-zero when a figure misses what it must be."""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from gateway.testing.process import GatewayProcess
from gateway.workers.runtime import runtime_directory
from tools.chaos.caller import Caller
from tools.chaos.report import Tally, write
from tools.chaos.watcher import Watcher
from tools.paths import ROOT

CALLERS = 8
FLAGS = ("--min-idle", "4", "--log-level", "warning")


class Killer:
    """Kills gateways and workers, and starts gateways again."""

    def __init__(self, gateway: GatewayProcess, tally: Tally, killed_workers: dict[str, float]) -> None:
        self._gateway = gateway
        self._tally = tally
        self._killed = killed_workers

    async def run(self, until: float) -> None:
        """Strike at random moments until then."""
        strikes = (self._kill_gateway, self._upgrade_gateway, self._kill_worker, self._kill_worker)
        for turn in range(1_000_000):
            await asyncio.sleep(random.uniform(0.5, 2.5))
            if time.monotonic() > until:
                return
            # Each kind in turn at first, so that a short run has them all.
            strike = strikes[turn] if turn < len(strikes) else random.choice(strikes)
            await asyncio.to_thread(strike)

    def _kill_gateway(self) -> None:
        self._tally.last_stop = time.time()
        self._gateway.kill()
        self._tally.gateway_kills += 1
        time.sleep(random.uniform(0.0, 0.7))
        self._start()

    def _upgrade_gateway(self) -> None:
        self._tally.last_stop = time.time()
        self._gateway.terminate()
        self._gateway.wait()
        self._tally.gateway_upgrades += 1
        self._start()

    def _start(self) -> None:
        began = time.monotonic()
        self._gateway.start()
        self._tally.last_start, self._tally.last_stop = time.time(), float("inf")
        self._tally.slowest_adoption = max(self._tally.slowest_adoption, time.monotonic() - began)

    def _kill_worker(self) -> None:
        directories = [entry for entry in runtime_directory(self._gateway.data_dir).glob("wrk_*") if entry.is_dir()]
        if not directories:
            return
        victim = random.choice(directories)
        try:
            pid = int((victim / "pid").read_text().split()[0])
            self._killed[victim.name] = time.time()
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            return  # it has just ended by itself
        self._tally.worker_kills += 1


async def play(gateway: GatewayProcess, ledger: Path, seconds: float, tally: Tally) -> None:
    """Let callers and the killer loose for that long."""
    killed: dict[str, float] = {}
    stop = asyncio.Event()
    callers = [Caller(lambda: gateway.address, str(ledger), tally, killed) for _ in range(CALLERS)]
    watcher = Watcher(lambda: gateway.address, tally)
    watching = asyncio.create_task(watcher.run())
    await watcher.stands.wait()
    running = [asyncio.create_task(caller.run(stop)) for caller in callers]
    await Killer(gateway, tally, killed).run(time.monotonic() + seconds)
    stop.set()
    await asyncio.gather(*running)
    await watcher.compare()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def count_orphans(data_dir: Path, tally: Tally) -> None:
    """Count what is left when all gateways and sessions have ended."""
    runtime = runtime_directory(data_dir)
    for entry in runtime.glob("wrk_*") if runtime.exists() else ():
        tally.wrong("orphans", f"directory {entry.name}")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"gateway.worker" in command and str(ROOT / "tools" / "chaos" / "app").encode() in command:
            tally.wrong("orphans", f"process {process.name}")


def main() -> int:
    """Play, judge, report."""
    seconds = float(os.environ.get("CHAOS_SECONDS", "180"))
    seed = int(os.environ.get("CHAOS_SEED", str(random.randrange(2**32))))
    random.seed(seed)
    print(f"chaos for {seconds:g} s, CHAOS_SEED={seed}", flush=True)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="sgw-chaos-") as scratch:
        data_dir, ledger = Path(scratch) / "data", Path(scratch) / "ledger"
        ledger.touch()
        gateway = GatewayProcess(data_dir, {"chaos": ROOT / "tools" / "chaos" / "app"}, FLAGS, drain="keep")
        try:
            gateway.start()
            asyncio.run(play(gateway, ledger, seconds, tally))
            gateway.stop()
            # One more gateway, which ends what is still there.
            with GatewayProcess(data_dir, {"chaos": ROOT / "tools" / "chaos" / "app"}, FLAGS, drain="end"):
                pass
            count_orphans(data_dir, tally)
        finally:
            gateway.stop()
        for token, times in Counter(ledger.read_text().split()).items():
            if times > 1:
                tally.wrong("run_twice", f"{token}: {times} times")
        if tally.remarks:
            print(gateway.log[-6000:])
    return 0 if write(tally, ROOT / "build" / "chaos.json") else 1


if __name__ == "__main__":
    sys.exit(main())
