"""What an idle session takes, how many can live at once, and what a gateway gains in a soak."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import servers
from bench.client import Client, call_slot, sessions
from bench.context import SESSIONS, Bench
from bench.figure import Figure, LeftOut, figure
from bench.figures import opening
from bench.load import Plan
from bench.machine import memory
from bench.processes import private_memory, tree_memory

_FIRST_MINUTE = 60.0
_SOAK_RATE = 500.0
"""Calls per second of a soak, beside the sessions that come and go as fast as they can."""

_EACH = 5_000_000
"""Bytes that a session may take."""

_SETTLED = 1.0
"""Seconds without a call, after which the private memory is read."""


def per_session(bench: Bench) -> Iterator[Figure]:
    """Yield the private memory of gateway, zygote and workers together that each idle session adds."""
    count = bench.settings.opened
    need_memory(count)
    with servers.gateway("--max-workers", str(count + 16)) as gateway, Client(gateway.address) as client:
        client.end(client.open())
        time.sleep(_SETTLED)
        before, alone = tree_memory(gateway.pid), private_memory(gateway.pid)
        opened = client.open_many(count)
        time.sleep(_SETTLED)
        grown = tree_memory(gateway.pid) - before
        of_gateway = private_memory(gateway.pid) - alone
        yield figure(
            "session_memory", [grown / count / 1e6], sessions=count, of_it_in_the_gateway_mb=of_gateway / count / 1e6
        )
        client.end_many(opened)


def soak(bench: Bench) -> Iterator[Figure]:
    """Yield what the gateway's private memory has gained since its first minute: calls, and sessions that come and go,
    without a pause.
    """
    seconds = bench.settings.soak_seconds
    if seconds <= _FIRST_MINUTE:
        raise LeftOut("a soak takes longer than the minute after which memory is first read")
    with servers.gateway() as gateway, sessions(gateway.address, SESSIONS) as opened, ThreadPoolExecutor(1) as other:
        coming_and_going = other.submit(lambda: asyncio.run(opening.cycles(gateway.address, seconds)))
        plan = Plan(
            gateway.address, [call_slot(each) for each in opened], rate=_SOAK_RATE, seconds=min(10.0, seconds / 4)
        )
        began, first, calls = time.monotonic(), 0, 0
        while time.monotonic() < began + seconds:
            calls += bench.load.run(plan).answers
            if not first and time.monotonic() >= began + _FIRST_MINUTE:
                first = private_memory(gateway.pid)
        cycles = coming_and_going.result() * seconds
        last = private_memory(gateway.pid)
        yield figure(
            "soak_memory",
            [100 * (last - first) / first],
            after_a_minute_mb=first / 1e6,
            at_the_end_mb=last / 1e6,
            seconds=seconds,
            calls=calls,
            sessions=round(cycles),
        )


def affordable(count: int) -> int:
    """Return how many of so many sessions there is memory for, at what each may take, with something left over."""
    return min(count, int(0.9 * memory("MemAvailable") / _EACH))


def need_memory(count: int) -> None:
    """Raise LeftOut unless there is memory for so many sessions."""
    if affordable(count) < count:
        free = memory("MemAvailable") / 1e9
        raise LeftOut(f"{count} sessions may take {count * _EACH / 1e9:.1f} GB, and {free:.1f} GB are available")
