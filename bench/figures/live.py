"""What a call takes when many sessions are live, beside what it takes among as many of the barest workers: when they
are called in turn, so that all of them are in use, and when all but a few are idle.
"""

import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from bench import servers
from bench.client import Client, call_slot
from bench.context import Bench
from bench.figure import Series
from bench.figures.growth import CALLS, IN_FLIGHT, WARMUP, spread
from bench.figures.memory import need_memory
from bench.load import Plan

COUNTS = (10, 100, 1000, 2000)

BASE = 100
"""The count that the greater ones are compared with."""

PARTS = 9
"""Runs of each point. They are short, and the differences small: fewer tell of the machine more than of the gateway."""

IN_TURN = ("gateway", "barest workers")
MOSTLY_IDLE = ("gateway, most idle", "barest, most idle")

_CONNECTIONS = 5
"""They share the calls in flight evenly."""

Rates = Mapping[int, Sequence[float]]
"""Calls/s of each round, by how many sessions or workers live."""


def measure(bench: Bench) -> Iterator[Series]:
    """Yield the chart. Gateways with few sessions and with many run side by side, and all is measured in turns: what
    else the machine does, from the opening of sessions on, meets all points alike.
    """
    # The barest workers fit into what a session may take and does not.
    need_memory(sum(COUNTS))
    found: dict[str, dict[int, list[float]]] = {name: {count: [] for count in COUNTS} for name in IN_TURN + MOSTLY_IDLE}
    with ExitStack() as stack:
        runs = {count: _runs(bench, stack, count) for count in COUNTS}
        for part in range(PARTS):
            for count, lines in runs.items():
                for name, run in lines.items():
                    found[name][count].append(run(part))
    yield series(found)


def _runs(bench: Bench, stack: ExitStack, count: int) -> Mapping[str, Callable[[int], float]]:
    """Start a gateway with so many sessions, which end with it, and as many of the barest workers. Return what measures
    the calls/s of one part of each line.
    """
    address = stack.enter_context(servers.gateway("--max-workers", str(count + 16))).address
    with Client(address) as client:
        slots = [call_slot(each) for each in client.open_many(count)]
    workers = stack.enter_context(servers.yardstick([sys.executable, "-m", "bench.yardsticks.bare_workers"]))
    # Each is called before it counts, and more than once then.
    calls, warmup = max(CALLS, 2 * count), max(WARMUP, count)

    def gateway(called: Sequence[int], calls: int, warmup: int) -> float:
        some = [slots[number] for number in called]
        plan = Plan(address, some, connections=_CONNECTIONS, in_flight=IN_FLIGHT, requests=calls, warmup=warmup)
        return bench.load.run(plan).rate

    def barest(called: Sequence[int], calls: int, warmup: int) -> float:
        asked = {"workers": count, "called": list(called), "in_flight": IN_FLIGHT, "calls": calls, "warmup": warmup}
        return float(workers.ask(asked)["rate"])

    return {
        IN_TURN[0]: lambda _: gateway(range(count), calls, warmup),
        IN_TURN[1]: lambda _: barest(range(count), calls, warmup),
        MOSTLY_IDLE[0]: lambda part: gateway(spread(count, part), 2 * CALLS, WARMUP),
        MOSTLY_IDLE[1]: lambda part: barest(spread(count, part), CALLS, WARMUP),
    }


def series(found: Mapping[str, Rates]) -> Series:
    """Return the chart of these rates, with the microseconds that a call takes more among many than among BASE."""
    lines = {
        name: [(float(count), microseconds(each)) for count, each in rates.items()] for name, rates in found.items()
    }
    measured = {
        f"{name.replace(',', '').replace(' ', '_')}_at_{count}_more_us": more(rates, count)
        for name, rates in found.items()
        for count in rates
        if count > BASE
    }
    return Series("live_sessions", "Live sessions", "live sessions", "µs per call", lines, measured, _sentences(found))


def microseconds(rates: Sequence[float]) -> float:
    """Return what a call takes at the median of these rates, by the clock and with the others in flight."""
    return 1e6 / statistics.median(rates)


def more(rates: Rates, count: int) -> float:
    """Return how many microseconds a call takes more among so many than among BASE."""
    return microseconds(rates[count]) - microseconds(rates[BASE])


def _sentences(found: Mapping[str, Rates]) -> list[str]:
    counts = [count for count in COUNTS if count > BASE]
    among = " and ".join(f"{count:,}" for count in counts)

    def told(names: tuple[str, str]) -> str:
        gateway, barest = (" and ".join(f"{more(found[name], count):+z.0f}" for count in counts) for name in names)
        return f"{gateway} µs through the gateway, {barest} µs among the barest workers"

    more_than = f"What a call takes more among {among} live sessions than among {BASE}"
    return [
        f"{more_than}, when they are called in turn, {IN_FLIGHT} at a time: {told(IN_TURN)}.",
        f"When all but {IN_FLIGHT} of them are idle: {told(MOSTLY_IDLE)}.",
    ]
