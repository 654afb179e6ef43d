"""How long `"new"` takes until the first answer, and how many sessions can be opened and ended in a second."""

import asyncio
import time
from collections.abc import Iterator

import grpc

from bench import servers
from bench.client import DEADLINE, Client
from bench.context import Bench
from bench.figure import Figure, figure, quantile
from sessiongateway.v1 import sessions_pb2 as pb
from sessiongateway.v1 import sessions_pb2_grpc

CALLERS = 8
"""Callers that open and end sessions side by side in the sustained figure."""

_READY = 2
"""Workers kept ready by default (`workers.min_idle`)."""

_INPUT = b'{"n":0}'


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figures of a warm pool, of a cold one, and of the sustained rate."""
    count = 100 if bench.settings.quick else 500
    with servers.gateway() as gateway, Client(gateway.address) as client:
        client.end(client.open())
        warm = [_opening(client, ready=_READY) for _ in range(count)]
        yield figure("new_median", [quantile(warm, 0.5)], openings=count, least_ms=min(warm))
        yield figure("new_p99", [quantile(warm, 0.99)], openings=count, greatest_ms=max(warm))
    with servers.gateway("--min-idle", "0") as gateway, Client(gateway.address) as client:
        client.end(client.open())  # the zygote imports the app once, for the first of all sessions
        cold = [_opening(client, ready=0) for _ in range(count // 2)]
        yield figure("new_cold", [quantile(cold, 0.5)], openings=len(cold), p99_ms=quantile(cold, 0.99))
    with servers.gateway() as gateway:
        seconds = 4.0 if bench.settings.quick else 20.0
        rates = [asyncio.run(cycles(gateway.address, seconds / 4)) for _ in range(5)]
        # The first part warms up: what is sustained is what comes after.
        yield figure("cycles_rate", rates[1:], callers=CALLERS, seconds=seconds)


def _opening(client: Client, ready: int) -> float:
    """Open a session when so many workers are ready, and end it. Returns the milliseconds until the first answer."""
    until = time.monotonic() + DEADLINE
    while client.ready_workers() < ready:
        if time.monotonic() > until:
            raise TimeoutError(f"the pool does not have {ready} workers ready")
        time.sleep(0.002)
    began = time.perf_counter()
    opened = client.open(_INPUT)
    took = time.perf_counter() - began
    client.end(opened)
    return 1000 * took


async def cycles(address: str, seconds: float) -> float:
    """Return how many sessions per second are opened with a call, called once more, and ended."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = sessions_pb2_grpc.SessionServiceStub(channel)
        began = time.perf_counter()
        counts = await asyncio.gather(*(_caller(stub, began + seconds) for _ in range(CALLERS)))
        return sum(counts) / (time.perf_counter() - began)


async def _caller(stub: "sessions_pb2_grpc.SessionServiceAsyncStub", until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        first = await stub.Run(pb.RunRequest(app=servers.APP, session="new", input_json=_INPUT), timeout=DEADLINE)
        session = first.session_id
        second = await stub.Run(pb.RunRequest(app=servers.APP, session=session, input_json=_INPUT), timeout=DEADLINE)
        ended = await stub.EndSession(pb.EndSessionRequest(session_id=session), timeout=DEADLINE)
        if not (first.output_json == second.output_json == _INPUT and second.session.call_count == 2):
            raise ValueError(f"a wrong answer: {first} {second}")
        if ended.session.status != pb.SESSION_STATUS_ENDED:
            raise ValueError(f"a session that does not end: {ended}")
        done += 1
    return done
