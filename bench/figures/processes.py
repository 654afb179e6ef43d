"""What more gateway processes gain: one, and one for each core, in turns."""

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from bench import servers
from bench.client import Client, Opened, call_slot, home_slot, sessions
from bench.context import SESSIONS, Bench
from bench.figure import Series, ratios
from bench.load import Plan, Slot
from bench.processes import descendants

_CONNECTIONS = 16
"""They are dealt out to the processes at random."""

_PARTS = 7
"""Runs of one point, each over new connections."""

_WORKERS = 4 * SESSIONS
"""Enough for both lines at once, however the connections are dealt out."""

_CALLS = 4000

_GONE = 5.0
"""Seconds for the workers of sessions that were ended; what would be left then disturbs no more than a little."""

AT_HOME = "at home"

Rates = Mapping[int, Sequence[float]]
"""Calls/s of each round, by the number of processes."""


def measure(bench: Bench) -> Iterator[Series]:
    """Yield the chart, with a line for calls over the connections that opened their sessions, and one for others."""
    counts = sorted({1, os.cpu_count() or 1})
    home: dict[int, list[float]] = {count: [] for count in counts}
    elsewhere: dict[int, list[float]] = {count: [] for count in counts}
    with ExitStack() as stack:
        sides = {count: _Side(bench, stack, count) for count in counts}
        for _ in range(_PARTS):
            for count, side in sides.items():
                home[count].append(side.at_home())
            for count, side in sides.items():
                elsewhere[count].append(side.elsewhere())
    yield series(home, elsewhere)


class _Side:
    """A gateway of so many processes, with sessions that others than the load have opened."""

    def __init__(self, bench: Bench, stack: ExitStack, count: int) -> None:
        self._bench = bench
        flags = ("--processes", str(count), "--max-workers", str(_WORKERS))
        self._gateway = stack.enter_context(servers.gateway(*flags))
        self._client = stack.enter_context(Client(self._gateway.address))
        # By many connections, so that each process has some of them. The load comes by others, which know nothing of
        # where sessions are.
        self._opened: list[Opened] = []
        for _ in range(_CONNECTIONS):
            self._opened += stack.enter_context(sessions(self._gateway.address, SESSIONS // _CONNECTIONS))

    def elsewhere(self) -> float:
        """Return calls/s in sessions that other connections opened."""
        return self._rate([call_slot(each) for each in self._opened])

    def at_home(self) -> float:
        """Return calls/s in sessions that are opened by the load itself, and gone before anything else is measured."""
        before = len(descendants(self._gateway.pid))
        try:
            return self._rate([home_slot(number) for number in range(SESSIONS)])
        finally:
            kept = {each.session.id for each in self._opened}
            self._client.end_many([Opened(each, b"") for each in self._client.live() if each.id not in kept])
            until = time.monotonic() + _GONE
            while len(descendants(self._gateway.pid)) > before and time.monotonic() < until:
                time.sleep(0.01)

    def _rate(self, slots: Sequence[Slot]) -> float:
        plan = Plan(self._gateway.address, slots, connections=_CONNECTIONS, requests=_CALLS, warmup=_CALLS // 10)
        return self._bench.load.run(plan).rate


def series(home: Rates, elsewhere: Rates) -> Series:
    """Return the chart of these rates, with their ratios against one process where there is more than that."""
    most = max(home)
    lines = {AT_HOME: home, passed_on(most): elsewhere}
    points = {
        name: [(float(count), statistics.median(each)) for count, each in rates.items()]
        for name, rates in lines.items()
    }
    measured: dict[str, float] = {}
    says: list[str] = []
    if most > 1:
        found = {name: statistics.median(ratios(rates[most], rates[1])) for name, rates in lines.items()}
        measured = {f"{name.replace(' ', '_')}_ratio": value for name, value in found.items()}
        says.append(
            f"{most} processes make {found[AT_HOME]:.2f} × the calls/s of one when calls come over the connections "
            f"that opened their sessions (at home), and {found[passed_on(most)]:.2f} × with {passed_on(most)}."
        )
    return Series("processes", "Gateway processes", "processes", "calls/s", points, measured, says)


def passed_on(count: int) -> str:
    """Return which share of the calls so many processes pass on when connections know nothing of sessions."""
    return "half passed on" if count <= 2 else f"{count - 1} of {count} passed on"
