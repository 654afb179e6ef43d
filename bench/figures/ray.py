"""Calls, against what Ray offers for the same: Serve's gRPC ingress, and a plain actor."""

import statistics
from collections.abc import Iterator

from bench import servers
from bench.client import call_slot, sessions
from bench.context import SESSIONS, Bench
from bench.figure import Figure, figure, ratios
from bench.yardsticks.confined import beside, ray_program

ACTOR_CALLS = 2000
SERVE_CALLS = 300
"""One after another, each some milliseconds."""


def against_serve(bench: Bench) -> Iterator[Figure]:
    """Yield throughput and median, against one stateful replica of Ray Serve."""
    with (
        ray_program("bench.yardsticks.ray_serve") as serve,
        servers.gateway() as gateway,
        sessions(gateway.address, SESSIONS) as opened,
    ):
        slots = [call_slot(each) for each in opened]
        theirs = bench.with_load(bench.load.launched_by(beside(serve)))
        rates = bench.rounds_of([bench.saturating(gateway.address, slots), theirs.saturating(serve.address, slots)])
        our, their = ([report.rate for report in side] for side in rates)
        yield figure(
            "calls_rate_serve",
            ratios(our, their),
            calls_per_s=statistics.median(our),
            yardstick_calls_per_s=statistics.median(their),
        )
        one = bench.one_after_another(gateway.address, slots[0])
        medians = bench.rounds_of([one, theirs.one_after_another(serve.address, slots[0], SERVE_CALLS)])
        our, their = ([report.latency_ms["p50"] for report in side] for side in medians)
        yield figure(
            "call_median_serve", ratios(our, their), ms=statistics.median(our), yardstick_ms=statistics.median(their)
        )


def against_actor(bench: Bench) -> Iterator[Figure]:
    """Yield throughput and median, against a Ray actor that its own process calls, without gRPC."""
    with (
        ray_program("bench.yardsticks.ray_actor") as actor,
        servers.gateway() as gateway,
        sessions(gateway.address, SESSIONS) as opened,
    ):
        slots = [call_slot(each) for each in opened]
        sides = [bench.saturating(gateway.address, slots), bench.one_after_another(gateway.address, slots[0])]
        rounds = [
            (
                sides[0]().rate,
                actor.ask({"calls": ACTOR_CALLS, "in_flight": SESSIONS})["rate"],
                sides[1]().latency_ms["p50"],
                actor.ask({"calls": ACTOR_CALLS // 4, "in_flight": 1})["p50_ms"],
            )
            for _ in range(bench.settings.rounds)
        ]
        rate, their_rate, median, their_median = (list(column) for column in zip(*rounds, strict=True))
        yield figure(
            "calls_rate_actor",
            ratios(rate, their_rate),
            calls_per_s=statistics.median(rate),
            yardstick_calls_per_s=statistics.median(their_rate),
        )
        yield figure(
            "call_median_actor",
            ratios(median, their_median),
            ms=statistics.median(median),
            yardstick_ms=statistics.median(their_median),
        )
