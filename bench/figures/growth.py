"""How cost grows with the size of a payload and the number of apps: the charts."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench import servers
from bench.client import Client, an_input, call_slot, sessions
from bench.context import Bench
from bench.figure import Series
from bench.figures.memory import need_memory
from bench.load import Plan, Report, Slot

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
APPS = (1, 10, 100)

IN_FLIGHT = 10
"""Calls in flight, each in a session of its own: as many at each point."""

PARTS = 5
"""Runs of one point, each with other sessions."""

CALLS = 2000
WARMUP = 200
"""Of one run."""

_IMPORTS = 150.0
"""Seconds in which all apps must have been imported: each has a process of its own for that."""

_VOLUME = 60_000_000
"""Bytes sent for a point of the payload chart, at most."""


def measure(bench: Bench) -> Iterator[Series]:
    """Yield both charts."""
    yield Series("payload", "Size of input and output", "bytes each way", "MB/s", _payload(bench))
    yield Series("apps", "Deployed apps", "apps", "calls/s", {"gateway": list(_apps(bench))})


def spread(count: int, part: int) -> list[int]:
    """Return which of so many sessions a run calls: IN_FLIGHT of them, other ones in each run, from all over."""
    step = max(1, count // IN_FLIGHT)
    return [(part + number * step) % count for number in range(IN_FLIGHT)]


def rate_of(bench: Bench, address: str, slots: Sequence[Slot], part: int) -> float:
    """Return the calls/s of one run."""
    some = [slots[number] for number in spread(len(slots), part)]
    return bench.load.run(Plan(address, some, requests=CALLS, warmup=WARMUP)).rate


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
            yield float(count), statistics.median(rate_of(bench, gateway.address, slots, part) for part in range(PARTS))
