"""What a fleet of so many live sessions needs, worked out of what `make bench-cluster` has measured; and a simulation
of what operations wait for at a Redis that is busy.

Nothing here is measured. The arithmetic is of processor time and bytes, and takes nothing for what was not measured.
"""

import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BUSY = 0.5
"""The part of a core of Redis, and of a gateway, that is planned with: the rest is for peaks and for the lost."""

REDIS_GB = 24.0
"""Of one node's data. Writing its log anew copies what is changed meanwhile, and a replica is filled from a copy."""

NODE_GB = 64.0
NODE_USED = 0.85
"""A node for workers, and the part of its memory that workers may take."""

RENEWALS = 3
"""Keepalives within one timeout (docs/contract.md)."""

AT_ONCE = 256
"""Operations of one run of the script (gateway/stores/redis_turns.py)."""

TRIP = 0.0002
"""Seconds from a gateway to Redis, or back, in one data centre."""


@dataclass(frozen=True)
class Costs:
    """What was measured: microseconds of processor time, and bytes."""

    redis_call: float
    redis_keepalive: float
    redis_keepalive_alone: float
    """The same when it is the only one of its run: what a run costs besides its operations is the difference."""
    redis_session: float
    gateway_call: float
    gateway_keepalive: float
    live_bytes: float
    finished_bytes: float
    """More than a live one."""
    worker_mb: float

    @property
    def run(self) -> float:
        """What a run of the script takes besides its operations."""
        return max(0.0, self.redis_keepalive_alone - self.redis_keepalive)


def costs(cluster: Mapping[str, Any], full: Mapping[str, Any]) -> Costs:
    """Return what the files of results say. Raises KeyError for one that lacks a figure."""
    found = {one["name"]: one for one in [*full["figures"], *cluster["figures"]]}

    def value(name: str) -> float:
        return float(found[name]["value"])

    return Costs(
        redis_call=value("redis_call"),
        redis_keepalive=value("redis_keepalive"),
        redis_keepalive_alone=value("redis_keepalive_alone"),
        redis_session=value("redis_session"),
        gateway_call=float(found["calls_rate_redis"]["measured"]["gateway_us"]),
        gateway_keepalive=float(found["keepalive_redis"]["measured"]["gateway_us"]),
        live_bytes=value("record_memory"),
        finished_bytes=float(found["record_memory"]["measured"]["more_when_finished_bytes"]),
        worker_mb=value("session_memory"),
    )


@dataclass(frozen=True)
class Fleet:
    """What is asked for."""

    sessions: int
    """Live at a time."""
    timeout: float
    """Seconds."""
    calls_per_minute: float
    """Of each session."""
    life: float
    """Seconds from the beginning of a session to its end."""
    retention: float
    """Seconds for which a finished session is kept."""
    worker_mb: float


@dataclass(frozen=True)
class Needs:
    """What that takes."""

    keepalives: float
    calls: float
    opened: float
    """All three per second."""
    records: float
    redis_cores: float
    redis_gb: float
    gateway_cores: float
    prefixes: int
    gateways: int
    nodes: int

    @property
    def bound_by(self) -> str:
        """What decides the number of prefixes."""
        return "memory" if self.redis_gb / REDIS_GB > self.redis_cores / BUSY else "processor"


def needs(fleet: Fleet, cost: Costs) -> Needs:
    """Return what a fleet needs."""
    keepalives = fleet.sessions * RENEWALS / fleet.timeout
    calls = fleet.sessions * fleet.calls_per_minute / 60
    opened = fleet.sessions / fleet.life
    finished = opened * fleet.retention
    redis = keepalives * cost.redis_keepalive + calls * cost.redis_call + opened * cost.redis_session
    of_gateways = keepalives * cost.gateway_keepalive + calls * cost.gateway_call
    memory = (fleet.sessions + finished) * cost.live_bytes + finished * cost.finished_bytes
    return Needs(
        keepalives=keepalives,
        calls=calls,
        opened=opened,
        records=fleet.sessions + finished,
        redis_cores=redis / 1e6,
        redis_gb=memory / 1e9,
        gateway_cores=of_gateways / 1e6,
        prefixes=max(1, math.ceil(redis / 1e6 / BUSY), math.ceil(memory / 1e9 / REDIS_GB)),
        gateways=max(2, math.ceil(of_gateways / 1e6 / BUSY)),
        nodes=math.ceil(fleet.sessions * fleet.worker_mb / 1e3 / (NODE_GB * NODE_USED)),
    )


def sessions_of_a_prefix(cost: Costs, like: Fleet) -> tuple[int, str]:
    """Return how many live sessions one prefix carries when they live like these, and what stops it at that."""
    one = needs(like, cost)
    by_processor = like.sessions * BUSY / one.redis_cores
    by_memory = like.sessions * REDIS_GB / one.redis_gb
    return int(min(by_processor, by_memory)), "memory" if by_memory < by_processor else "processor"


@dataclass(frozen=True)
class Waits:
    """What operations of calls took in a simulation, in milliseconds from when they came to a gateway until their
    answer.
    """

    operations: int
    """Of calls."""
    median_ms: float
    p99_ms: float
    busy: float
    """The part of the time in which Redis worked, 0 to 1."""
    in_a_run: float
    """Operations of a run, on average."""


@dataclass(frozen=True)
class Load:
    """What a simulated Redis is offered."""

    share: float
    """Of what it can do with full runs, 0 to 1."""
    kept_alive: float = 0.0
    """The part of that which is keepalives, 0 to 1; the rest is calls."""
    ids: int = 100
    """Keepalives of one message, which are one operation."""
    gateways: int = 8
    seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class _Operation:
    came: float
    takes: float
    of_a_call: bool


def simulated(cost: Costs, load: Load, seed: int = 1) -> Waits:
    """Return what calls wait for. Each has two operations, its admission and its end.

    Operations come at random moments, to all gateways alike. Each gateway has one run on its way, which takes all that
    wait, and Redis does one run after another.
    """
    draw = random.Random(seed)
    of_a_call, of_a_message = cost.redis_call / 2 / 1e6, cost.redis_keepalive * load.ids / 1e6
    coming = _arrivals(draw, load, of_a_call, calls=True) if load.kept_alive < 1 else []
    coming += _arrivals(draw, load, of_a_message, calls=False) if load.kept_alive > 0 else []
    events: list[tuple[float, int, int, list[_Operation]]] = [
        (each.came, number, draw.randrange(load.gateways), [each]) for number, each in enumerate(coming)
    ]
    heapq.heapify(events)
    waiting: list[list[_Operation]] = [[] for _ in range(load.gateways)]
    away = [False] * load.gateways
    free_at, worked, runs, waits, number = 0.0, 0.0, 0, list[float](), len(events)
    while events:
        now, place, gateway, operations = heapq.heappop(events)
        if place < len(coming):
            waiting[gateway] += operations
        else:
            waits += [now - each.came for each in operations if each.of_a_call]
            away[gateway] = False
        if waiting[gateway] and not away[gateway]:
            batch, waiting[gateway] = waiting[gateway][:AT_ONCE], waiting[gateway][AT_ONCE:]
            takes = cost.run / 1e6 + sum(each.takes for each in batch)
            free_at = max(free_at, now + TRIP) + takes
            worked, runs, number, away[gateway] = worked + takes, runs + 1, number + 1, True
            heapq.heappush(events, (free_at + TRIP, number, gateway, batch))
    waits.sort()
    return Waits(len(waits), 1e3 * _at(waits, 0.5), 1e3 * _at(waits, 0.99), worked / free_at, len(coming) / runs)


def _arrivals(draw: random.Random, load: Load, takes: float, *, calls: bool) -> list[_Operation]:
    part = 1 - load.kept_alive if calls else load.kept_alive
    rate, found = load.share * part / takes, list[_Operation]()
    at = draw.expovariate(rate)
    while at < load.seconds:
        found.append(_Operation(at, takes, calls))
        at += draw.expovariate(rate)
    return found


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
