"""Large inputs and outputs, against a bare grpc.aio echo."""

import statistics
from collections.abc import Iterator

from bench import servers
from bench.client import an_input, call_slot, sessions
from bench.context import Bench
from bench.figure import Figure, figure, ratios
from bench.load import Plan, Report

SIZE = 1_000_000
"""Bytes of an input, which is also the output."""

IN_FLIGHT = 4


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figure of 1 MB there and back."""
    with servers.gateway() as gateway, servers.echo() as echo, sessions(gateway.address, IN_FLIGHT) as opened:
        slots = [call_slot(each, an_input(n, SIZE)) for n, each in enumerate(opened)]
        calls = 40 if bench.settings.quick else 200

        def side(address: str) -> Report:
            return bench.load.run(Plan(address, slots, requests=calls, warmup=IN_FLIGHT))

        reports = bench.rounds_of([lambda: side(gateway.address), lambda: side(echo.address)])
        our, their = ([report.rate * SIZE / 1e6 for report in each] for each in reports)
        yield figure(
            "payload_rate",
            ratios(our, their),
            mb_per_s=statistics.median(our),
            yardstick_mb_per_s=statistics.median(their),
            in_flight=IN_FLIGHT,
        )
