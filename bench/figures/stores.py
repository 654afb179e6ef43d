"""Calls and keepalives with the records in Redis, and with workers that Ray has placed, beside the embedded default."""

import importlib.util
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import servers
from bench.client import Opened, call_slot
from bench.context import SESSIONS, Bench
from bench.figure import Figure, LeftOut, figure, ratios
from bench.figures.calls import latencies
from bench.figures.ray import ACTOR_CALLS
from bench.figures.streams import MANY, many_ids
from bench.load import STREAM_KEEPALIVE, Plan
from bench.opener import open_beside
from bench.processes import command_of, cpu_seconds, descendants, stopped
from bench.redis import over_tcp, redis
from bench.yardsticks.confined import beside, ray_program
from gateway.config import setting_paths
from gateway.testing.process import GatewayProcess
from gateway.testing.redis_server import RedisProcess

_ROOM = 256_000_000
"""Bytes for a few hundred sessions and their events."""

_COUNTED = 6000
"""Calls over which processor time is counted, in hundredths of a second."""

_COUNTED_IDS = 200_000
"""Ids of keepalives, the same."""

_STREAMS = 4

_IDLE = 6.0
"""Seconds for which actors are watched that have nothing to do."""

_ACTOR, _BARE_ACTOR = "ray::WorkerActor", "ray::Echo"
"""What Ray calls the processes of ours, and those of the yardstick."""


class Side:
    """A gateway with sessions, which are called and kept alive in turn with those of other sides."""

    def __init__(
        self,
        bench: Bench,
        stack: ExitStack,
        *flags: str,
        launcher: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        started = servers.gateway(
            "--max-workers", str(MANY * _STREAMS + 16), *flags, launcher=launcher, environment=environment
        )
        self.gateway: GatewayProcess = stack.enter_context(started)
        self.opened: list[Opened] = open_beside(launcher, self.gateway.address, SESSIONS)
        self.slots = [call_slot(each) for each in self.opened]
        self.rate = bench.saturating(self.gateway.address, self.slots)
        self.median = bench.one_after_another(self.gateway.address, self.slots[0])
        self._bench = bench

    def us_per_call(self, server: RedisProcess) -> tuple[float, float]:
        """Return the microseconds of processor time that a call takes of the gateway and of Redis."""
        return self._cost(server, Plan(self.gateway.address, self.slots, requests=_COUNTED), _COUNTED)

    def us_per_keepalive(self, server: RedisProcess) -> tuple[float, float]:
        """Return the same of one id among many on a stream of keepalives."""
        count = MANY * _STREAMS - SESSIONS
        opened = self.opened + open_beside((), self.gateway.address, count, first=SESSIONS)
        parts = [many_ids(opened[start : start + MANY]) for start in range(0, len(opened), MANY)]
        plan = Plan(
            self.gateway.address,
            parts,
            STREAM_KEEPALIVE,
            kind="bidi",
            requests=_COUNTED_IDS // MANY,
            window=1,
            answers_per_message=MANY,
            joined=True,
        )
        return self._cost(server, plan, _COUNTED_IDS)

    def _cost(self, server: RedisProcess, plan: Plan, count: int) -> tuple[float, float]:
        def used() -> tuple[float, float]:
            return cpu_seconds(self.gateway.pid), cpu_seconds(server.pid)

        before = used()
        self._bench.load.run(plan)
        ours, theirs = (1e6 * (now - then) / count for then, now in zip(before, used(), strict=True))
        return ours, theirs


def in_redis(bench: Bench) -> Iterator[Figure]:
    """Yield throughput and median with the records in Redis, against those of the embedded store."""
    with redis(_ROOM) as server, ExitStack() as stack:
        embedded = Side(bench, stack)
        ours = Side(bench, stack, "--store", over_tcp(server))
        gateway_us, redis_us = ours.us_per_call(server)
        rate, median = _pair(bench, ours, embedded, "redis", gateway_us=gateway_us, redis_us=redis_us)
        yield rate
        yield median
        gateway_us, redis_us = ours.us_per_keepalive(server)
        yield figure("keepalive_redis", [redis_us], gateway_us=gateway_us, ids_per_message=float(MANY))


def on_ray(bench: Bench) -> Iterator[Figure]:
    """Yield the same with workers that Ray has placed, and throughput against bare calls of as many Ray actors; then
    with both, Redis and Ray.
    """
    why = no_ray()
    if why:
        raise LeftOut(why)
    # What Ray listens on is in a namespace of its own, and so is the gateway. Redis is on a socket of the file system.
    # Ray runs on the gateway's Python, as its nodes must: there the workers are.
    ray = ray_program("bench.yardsticks.ray_actor", Path(sys.executable))
    with ray as actors, redis(_ROOM) as server, ExitStack() as stack:
        launcher = beside(actors)
        there = bench.with_load(bench.load.launched_by(launcher))
        environment = {"SGW_RAY_ADDRESS": actors.ask({"address": True})["address"]}
        embedded = Side(there, stack, launcher=launcher)
        with ExitStack() as ours_alone:
            ours = Side(there, ours_alone, "--pool", "ray", launcher=launcher, environment=environment)
            rate, median = _pair(there, ours, embedded, "ray")
            yield rate
            yield median
            yield _idle(actors)
            yield _against_bare(there, ours, actors)
        flags = ("--store", server.url, "--pool", "ray")
        both = Side(there, stack, *flags, launcher=launcher, environment=environment)
        yield from _pair(there, both, embedded, "redis_ray")


def _against_bare(bench: Bench, ours: Side, actors: servers.Yardstick) -> Figure:
    """Return throughput against as many actors as there are sessions, called bare."""
    asked = {"calls": ACTOR_CALLS, "in_flight": SESSIONS, "actors": SESSIONS}
    actors.ask(asked)  # which also makes them
    # Neither side has the other's actors beside it in its turn: they take processor time also when they are idle.
    bare, own = _called(actors, _BARE_ACTOR), _called(actors, _ACTOR)
    found, theirs = [], []
    with stopped(bare):
        # Measured anew how many calls a round has: the first time the gateway's actors had only just begun.
        rate = bench.saturating(ours.gateway.address, ours.slots)
    for _ in range(bench.settings.rounds):
        with stopped(bare):
            found.append(rate().rate)
        with stopped(own):
            theirs.append(float(actors.ask(asked)["rate"]))
    actors.ask({"calls": 0, "in_flight": 0, "actors": 0})
    return figure(
        "calls_rate_ray_actor",
        ratios(found, theirs),
        calls_per_s=statistics.median(found),
        yardstick_calls_per_s=statistics.median(theirs),
    )


def _idle(actors: servers.Yardstick) -> Figure:
    """Return the percentage of a core that an actor of ours takes while there is nothing to do."""
    found = _called(actors, _ACTOR)
    before = sum(map(cpu_seconds, found))
    time.sleep(_IDLE)
    used = sum(map(cpu_seconds, found)) - before
    return figure("ray_idle", [100 * used / _IDLE / len(found)], seconds=_IDLE, actors=float(len(found)))


def _called(actors: servers.Yardstick, name: str) -> list[int]:
    """Return the processes of this Ray that are called so."""
    return [pid for pid in descendants(actors.process.pid) if command_of(pid).startswith(name)]


def no_ray() -> str:
    """Return why no worker can be placed by Ray here; "" if one can."""
    if "workers.pool" not in setting_paths():
        return "this gateway has no pool of workers on Ray: there is no setting workers.pool"
    if importlib.util.find_spec("ray") is None:
        return 'Ray is not installed beside the gateway: pip install "session-gateway[ray]"'
    return ""


def _pair(bench: Bench, ours: Side, theirs: Side, name: str, **measured: float) -> tuple[Figure, Figure]:
    """Return throughput and median of two sides, which take turns."""
    rates = bench.rounds_of([ours.rate, theirs.rate])
    our, their = ([report.rate for report in side] for side in rates)
    rate = figure(
        f"calls_rate_{name}",
        ratios(our, their),
        calls_per_s=statistics.median(our),
        yardstick_calls_per_s=statistics.median(their),
        **measured,
    )
    medians = bench.rounds_of([ours.median, theirs.median])
    our, their = (latencies(side, "p50") for side in medians)
    median = figure(
        f"call_median_{name}", ratios(our, their), ms=statistics.median(our), yardstick_ms=statistics.median(their)
    )
    return rate, median
