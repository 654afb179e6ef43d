"""Calls in warm sessions, against a bare grpc.aio echo."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench import servers
from bench.client import call_slot, sessions
from bench.context import SESSIONS, Bench
from bench.figure import Figure, figure, ratios
from bench.load import Plan, Report, Slot
from bench.processes import cpu_seconds, descendants
from bench.yardsticks.go_echo import go_echo
from gateway.testing.process import GatewayProcess

_COUNTED = 4000
"""Calls over which processor time is counted, in hundredths of a second."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield throughput, median and 99th percentile."""
    with servers.gateway() as gateway, servers.echo() as echo, sessions(gateway.address, SESSIONS) as opened:
        slots = [call_slot(one) for one in opened]
        rate = _throughput(bench, gateway.address, echo.address, slots)
        yield replace(rate, measured={**rate.measured, **_processor_time(bench, gateway, echo, slots)})
        yield _median(bench, gateway.address, echo.address, slots[0])
        yield _tail(bench, gateway.address, echo.address, slots, float(rate.measured["calls_per_s"]) / 2)


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


def _processor_time(
    bench: Bench, gateway: GatewayProcess, echo: servers.Yardstick, slots: Sequence[Slot]
) -> dict[str, float]:
    """Return microseconds of processor time per call, which tell more than rates on a machine that is busy."""
    workers = descendants(gateway.pid)

    def used() -> tuple[float, float, float]:
        return cpu_seconds(gateway.pid), sum(map(cpu_seconds, workers)), cpu_seconds(echo.process.pid)

    before = used()
    for address in (gateway.address, echo.address):
        bench.load.run(Plan(address, slots, requests=_COUNTED))
    ours, in_workers, theirs = (1e6 * (now - then) / _COUNTED for then, now in zip(before, used(), strict=True))
    return {"cpu_us": ours, "yardstick_cpu_us": theirs, "cpu_in_workers_us": in_workers}


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
