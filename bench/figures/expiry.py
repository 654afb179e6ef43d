"""Many sessions: all of them live and answering at once, and all of them expiring within a second."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bench import servers
from bench.client import DEADLINE, Client, Opened, call_slot
from bench.context import Bench
from bench.figure import Figure, figure, quantile
from bench.figures.memory import affordable
from bench.load import Plan
from bench.processes import tree_memory
from sessiongateway.v1 import sessions_pb2 as pb

_PARTS = 40
"""Messages in which all sessions are kept alive, spread over a second: their windows end as they were renewed."""

_AT_A_TIME = 250
_CALLS_EACH = 2


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how late sessions expire and, in a full run, how many were live before."""
    wanted = bench.settings.expiring
    count = affordable(wanted)
    # Long enough to open all of them, to call each and to renew them: fifty a second is far below what is measured.
    timeout = 5 if bench.settings.quick else max(15, count // 50)
    with servers.gateway("--max-workers", str(count + 16)) as gateway, Client(gateway.address) as client:
        began = time.monotonic()
        opened = client.open_many(count, timeout)
        seconds = time.monotonic() - began
        called = time.monotonic()
        _call_all(bench, gateway.address, opened)
        rate = count * _CALLS_EACH / (time.monotonic() - called)
        if not bench.settings.quick:
            stopped_by = "the memory that is available" if count < wanted else "what was asked for (BENCH_SESSIONS)"
            yield figure(
                "sessions_live",
                [float(count)],
                opened_in_s=seconds,
                calls_per_s=rate,
                gateway_and_workers_mb=tree_memory(gateway.pid) / 1e6,
                stopped_by=stopped_by,
            )
        yield _lateness(client, opened, timeout)


def _call_all(bench: Bench, address: str, opened: Sequence[Opened]) -> None:
    """Call every session, so many at a time as a gRPC server takes: it cancels calls beyond a thousand that wait."""
    for start in range(0, len(opened), _AT_A_TIME):
        slots = [call_slot(each) for each in opened[start : start + _AT_A_TIME]]
        bench.load.run(Plan(address, slots, requests=_CALLS_EACH * len(slots)))


def _lateness(client: Client, opened: Sequence[Opened], timeout: int) -> Figure:
    with ThreadPoolExecutor(1) as other:
        watch = client.sessions.WatchSessions(
            pb.WatchSessionsRequest(), timeout=timeout + 2 * DEADLINE, wait_for_ready=True
        )
        try:
            while next(watch).event != pb.SESSION_EVENT_WATCHING:
                pass
            seen: Future[list[tuple[float, float]]] = other.submit(_expiries, watch, len(opened))
            renewed = list(client.sessions.StreamKeepalive(_renewals(opened), timeout=DEADLINE))
            if any(answer.session.status != pb.SESSION_STATUS_ACTIVE for answer in renewed):
                raise ValueError("a session was over before its window was renewed for the last time")
            late = seen.result()
        finally:
            watch.cancel()
    told, recorded = [each[0] for each in late], [each[1] for each in late]
    return figure(
        "expiry_lateness",
        [quantile(told, 0.99)],
        sessions=len(late),
        median_ms=quantile(told, 0.5),
        greatest_ms=max(told),
        p99_until_recorded_ms=quantile(recorded, 0.99),
    )


def _renewals(opened: Sequence[Opened]) -> Iterator[pb.StreamKeepaliveRequest]:
    """Yield messages that have each session once, spread over one second."""
    size = -(-len(opened) // _PARTS)
    began = time.monotonic()
    for number, start in enumerate(range(0, len(opened), size)):
        time.sleep(max(0.0, began + number / _PARTS - time.monotonic()))
        yield pb.StreamKeepaliveRequest(session_ids=[each.session.id for each in opened[start : start + size]])


def _expiries(watch: Iterator[pb.WatchSessionsResponse], count: int) -> list[tuple[float, float]]:
    """Return, for each session, the milliseconds from the end of its window until a watcher was told, and until it was
    on record. Raises ValueError for a session that ended in any other way, or too early.
    """
    late: list[tuple[float, float]] = []
    while len(late) < count:
        news = next(watch)
        now = time.time()
        if news.event in (pb.SESSION_EVENT_WATCHING, pb.SESSION_EVENT_CREATED):
            continue
        due = news.session.expires_at.ToNanoseconds() / 1e9
        recorded = news.occurred_at.ToNanoseconds() / 1e9
        if news.event != pb.SESSION_EVENT_EXPIRED or recorded < due - 1e-5:
            raise ValueError(f"a session that should expire did something else: {news}")
        late.append((1000 * (now - due), 1000 * (recorded - due)))
    return late
