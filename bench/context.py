"""What every measurement gets: how long it may take, the load generator, and a place to say what is going on."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.load import LoadGenerator, Plan, Report, Slot

SESSIONS = 64
"""Warm sessions, and calls in flight, of the figures about throughput."""

CALIBRATION = 1500
"""Calls of the run that tells how many make up a round. It also warms both sides up."""


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    quick: bool
    rounds: int
    """Of each side of a ratio, alternating."""
    seconds: float
    """Of one round, roughly."""
    opened: int
    """Sessions for the memory of one."""
    expiring: int
    """Sessions that expire within a second, and that are live at once in a full run."""
    soak_seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the object that stands in the results."""
        return asdict(self)


def quick() -> Settings:
    """Return what `make bench-quick` measures: under 90 seconds."""
    return Settings(quick=True, rounds=3, seconds=0.8, opened=200, expiring=200, soak_seconds=0.0)


def full() -> Settings:
    """Return what `make bench` measures; BENCH_SOAK_SECONDS and BENCH_SESSIONS make it longer or shorter."""
    return Settings(
        quick=False,
        rounds=7,
        seconds=2.0,
        opened=1000,
        expiring=int(os.environ.get("BENCH_SESSIONS", "2000")),
        soak_seconds=float(os.environ.get("BENCH_SOAK_SECONDS", "120")),
    )


class Bench:
    """The run."""

    def __init__(self, settings: Settings, load: LoadGenerator, note: Callable[[str], object] = print) -> None:
        self.settings = settings
        self.load = load
        self.note = note

    def with_load(self, load: LoadGenerator) -> "Bench":
        """Return the same run with another load generator."""
        return Bench(self.settings, load, self.note)

    def rounds_of(self, sides: Sequence[Callable[[], Report]]) -> list[list[Report]]:
        """Run each side once a round, one after another, and return the reports of each side."""
        reports: list[list[Report]] = [[] for _ in sides]
        for _ in range(self.settings.rounds):
            for side, found in zip(sides, reports, strict=True):
                found.append(side())
        return reports

    def saturating(self, target: str, slots: Sequence[Slot]) -> Callable[[], Report]:
        """Return a closed loop over all slots that takes about the seconds of a round. Measures its length first."""
        first = self.load.run(Plan(target, slots, requests=CALIBRATION))
        calls = round(first.answers / first.seconds * self.settings.seconds)
        plan = Plan(target, slots, requests=max(len(slots), calls), warmup=len(slots))
        return lambda: self.load.run(plan)

    def one_after_another(self, target: str, slot: Slot, calls: int = 1500) -> Callable[[], Report]:
        """Return a closed loop of a single caller, with fewer calls in a quick run."""
        plan = Plan(target, [slot], requests=min(calls, 400) if self.settings.quick else calls, warmup=100)
        return lambda: self.load.run(plan)

    def at_rate(self, target: str, slots: Sequence[Slot], rate: float) -> Callable[[], Report]:
        """Return an open loop at this rate, in calls per second."""
        plan = Plan(target, slots, rate=rate, seconds=self.settings.seconds, warmup=len(slots))
        return lambda: self.load.run(plan)
