"""How cost grows with the number of live sessions, the size of a payload, and the number of apps, and what more gateway
processes gain: the charts.
"""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from bench import servers
from bench.client import Client, Opened, an_input, call_slot, sessions
from bench.context import SESSIONS, Bench
from bench.figure import Series
from bench.figures.memory import need_memory
from bench.load import Plan, Report, Slot
from gateway.testing.process import GatewayProcess

LIVE = (10, 100, 1000, 2000)
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
APPS = (1, 10, 100)

IN_FLIGHT = 10
"""Calls in flight, each in a session of its own: as many at each point."""

_CONNECTIONS = 16
"""Where there are several processes: connections are dealt out to them at random."""

_PARTS = 5
"""Runs of one point, each with other sessions."""

_IMPORTS = 150.0
"""Seconds in which all apps must have been imported: each has a process of its own for that."""

_VOLUME = 60_000_000
"""Bytes sent for a point of the payload chart, at most."""


def measure(bench: Bench) -> Iterator[Series]:
    """Yield the four charts."""
    yield Series("live_sessions", "Live sessions", "live sessions", "calls/s", {"gateway": list(_live(bench))})
    yield Series("payload", "Size of input and output", "bytes each way", "MB/s", _payload(bench))
    yield Series("apps", "Deployed apps", "apps", "calls/s", {"gateway": list(_apps(bench))})
    yield Series("processes", "Gateway processes", "processes", "calls/s", {"gateway": _processes(bench)})


def _live(bench: Bench) -> Iterator[tuple[float, float]]:
    need_memory(max(LIVE))
    with servers.gateway("--max-workers", str(max(LIVE) + 16)) as gateway, Client(gateway.address) as client:
        opened: list[Opened] = []
        for count in LIVE:
            opened += client.open_many(count - len(opened))
            yield float(count), _rate_over(bench, gateway, [call_slot(each) for each in opened])
        client.end_many(opened)


def _rate_over(bench: Bench, gateway: GatewayProcess, slots: Sequence[Slot]) -> float:
    """Return calls/s, as the median of runs that each take other sessions, spread over all that there are."""
    step = max(1, len(slots) // IN_FLIGHT)
    rates = []
    for part in range(_PARTS):
        some = [slots[(part + number * step) % len(slots)] for number in range(IN_FLIGHT)]
        rates.append(bench.load.run(Plan(gateway.address, some, requests=2000, warmup=200)).rate)
    return statistics.median(rates)


def _payload(bench: Bench) -> Mapping[str, Sequence[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {"gateway": [], "bare grpc.aio echo": []}
    with servers.gateway() as gateway, servers.echo() as echo, sessions(gateway.address, IN_FLIGHT) as opened:
        for size in SIZES:
            slots = [call_slot(each, an_input(number, size)) for number, each in enumerate(opened)]
            for line, address in zip(lines.values(), (gateway.address, echo.address), strict=True):
                line.append((float(size), size / 1e6 * _paid(bench, address, slots, size).rate))
    return lines


def _paid(bench: Bench, address: str, slots: Sequence[Slot], size: int) -> Report:
    requests = min(4000, max(40, _VOLUME // size))
    return bench.load.run(Plan(address, slots, requests=requests, warmup=IN_FLIGHT))


def _apps(bench: Bench) -> Iterator[tuple[float, float]]:
    for count in APPS:
        # A zygote each, and the workers that are kept ready.
        need_memory(3 * count)
        names = [f"echo{number}" for number in range(count)]
        with (
            servers.gateway(apps=dict.fromkeys(names, servers.ECHO_APP)) as gateway,
            Client(gateway.address) as client,
        ):
            for name in names:
                client.end(client.open(app=name, deadline=_IMPORTS))
            called = [names[number * count // IN_FLIGHT] for number in range(IN_FLIGHT)]
            opened = [client.open(an_input(number), app=name) for number, name in enumerate(called)]
            slots = [call_slot(each, app=name) for each, name in zip(opened, called, strict=True)]
            yield float(count), _rate_over(bench, gateway, slots)


def _processes(bench: Bench) -> Sequence[tuple[float, float]]:
    """Measure one process and one for each core in turns: what else the machine does meets both."""
    counts = sorted({1, os.cpu_count() or 1})
    rates: dict[int, list[float]] = {count: [] for count in counts}
    with ExitStack() as stack:
        slots = {}
        for count in counts:
            gateway = stack.enter_context(servers.gateway("--processes", str(count)))
            # By many connections, so that each process has some of them. The load comes by others: with two processes
            # every other call has to be passed on.
            opened = [
                stack.enter_context(sessions(gateway.address, SESSIONS // _CONNECTIONS)) for _ in range(_CONNECTIONS)
            ]
            slots[count] = gateway.address, [call_slot(each) for some in opened for each in some]
        for _ in range(_PARTS):
            for count, (address, some) in slots.items():
                rates[count].append(
                    bench.load.run(Plan(address, some, connections=_CONNECTIONS, requests=4000, warmup=400)).rate
                )
    return [(float(count), statistics.median(each)) for count, each in rates.items()]
