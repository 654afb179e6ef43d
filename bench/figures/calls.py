"""Calls in warm sessions, against a bare grpc.aio echo."""

import statistics
from collections.abc import Iterator, Sequence

from bench import servers
from bench.client import call_slot, sessions
from bench.context import SESSIONS, Bench
from bench.figure import Figure, figure, ratios
from bench.load import Report, Slot
from bench.yardsticks.go_echo import go_echo


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield throughput, median and 99th percentile."""
    with servers.gateway() as gateway, servers.echo() as echo, sessions(gateway.address, SESSIONS) as opened:
        slots = [call_slot(one) for one in opened]
        rate = _throughput(bench, gateway.address, echo, slots)
        yield rate
        yield _median(bench, gateway.address, echo, slots[0])
        yield _tail(bench, gateway.address, echo, slots, float(rate.measured["calls_per_s"]) / 2)


def against_go(bench: Bench) -> Iterator[Figure]:
    """Yield throughput, against what a server without an interpreter reaches."""
    with go_echo() as theirs, servers.gateway() as gateway, sessions(gateway.address, SESSIONS) as opened:
        slots = [call_slot(one) for one in opened]
        yield _throughput(bench, gateway.address, theirs, slots, "calls_rate_go")


def _throughput(bench: Bench, ours: str, theirs: str, slots: Sequence[Slot], name: str = "calls_rate") -> Figure:
    sides = [bench.saturating(address, slots) for address in (ours, theirs)]
    our, their = ([report.rate for report in side] for side in bench.rounds_of(sides))
    return figure(
        name,
        ratios(our, their),
        calls_per_s=statistics.median(our),
        yardstick_calls_per_s=statistics.median(their),
    )


def _median(bench: Bench, ours: str, theirs: str, slot: Slot) -> Figure:
    sides = [bench.one_after_another(address, slot) for address in (ours, theirs)]
    our, their = (latencies(side, "p50") for side in bench.rounds_of(sides))
    return figure("call_median", ratios(our, their), ms=statistics.median(our), yardstick_ms=statistics.median(their))


def _tail(bench: Bench, ours: str, theirs: str, slots: Sequence[Slot], rate: float) -> Figure:
    # The same rate for both, which for the yardstick is less than half of what it could do.
    sides = [bench.at_rate(address, slots, rate) for address in (ours, theirs)]
    our, their = (latencies(side, "p99") for side in bench.rounds_of(sides))
    return figure(
        "call_p99",
        ratios(our, their),
        ms=statistics.median(our),
        yardstick_ms=statistics.median(their),
        offered_calls_per_s=rate,
    )


def latencies(reports: Sequence[Report], which: str) -> list[float]:
    """Return one of the latencies, in milliseconds, of each round."""
    return [report.latency_ms[which] for report in reports]
