"""The numbers of one gateway process at one moment, in a form that another one can be sent."""

import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from gateway.errors import GatewayError
from gateway.heartbeat import Heartbeat
from gateway.metrics import Histogram
from gateway.rpc.error_table import row_of_class
from gateway.rpc.server import Server
from gateway.sessions.manager import SessionManager
from gateway.sessions.meter import MAX_APPS, OTHER, CallMeter, Outcome
from gateway.stores.metered import MeteredStore
from gateway.workers.figures import PoolFigures
from gateway.workers.meter import PoolMeter
from gateway.workers.scheduled import ScheduledPool
from sessiongateway.v1 import apps_pb2, sessions_pb2

Number: TypeAlias = float | list[float]
"""Of a histogram, the counts of its ranges, and behind them the sum of the values."""

Samples: TypeAlias = list[tuple[list[str], Number]]
"""The values of the labels in their order, and the number that belongs to them."""

Snapshot: TypeAlias = dict[str, Samples]
"""The samples of each metric."""

OK = "OK"
CANCELLED = "CANCELLED"

_STARTED = time.time()

_UNTOLD = {
    (method.name, "INTERNAL"): 0
    for api in (sessions_pb2, apps_pb2)
    for service in api.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""What an alert waits for: Prometheus does not see a number rise that was not there before."""


class Sources:
    """The parts of a gateway process that know its numbers."""

    def __init__(
        self,
        manager: SessionManager,
        calls: CallMeter,
        pool: ScheduledPool,
        store: MeteredStore,
        *,
        server: Server,
        heartbeat: Heartbeat,
        serving: Callable[[], bool],
    ) -> None:
        self._manager = manager
        self._calls = calls
        self._pool = pool
        self._store = store
        self._server = server
        self._heartbeat = heartbeat
        self._serving = serving
        self._build = [version("session-gateway"), platform.python_version(), server.transport]

    async def snapshot(self) -> Snapshot:
        """Return the numbers as they are now."""
        figures = await self._pool.figures()
        connections, ended = self._server.connections()
        return {
            "sgw_build_info": [(self._build, 1)],
            "sgw_serving": _one(self._serving()),
            **_of_calls(self._calls),
            "sgw_calls_in_flight": _one(self._manager.calls_in_flight),
            "sgw_rpc_errors_total": _each((_UNTOLD | self._server.failures.told).items()),
            "sgw_tls_handshakes_refused_total": _each_of(self._server.refusals.counts),
            "sgw_callers_refused_total": _each_of(self._server.turned_away.counts),
            "sgw_connections": _one(connections),
            "sgw_connections_ended_total": _each_of(ended),
            "sgw_event_loop_stalls_total": _one(self._heartbeat.stalls),
            **self._of_sessions(),
            **_of_workers(figures, self._pool.meter),
            **_by_app(figures, self._manager.live_by_app()),
            "sgw_store_available": _one(self._store.available),
            "sgw_store_failures_total": _each_of(self._store.failures),
            "sgw_store_operation_seconds": [
                ([operation], _ranges(histogram))
                for operation, histogram in self._store.seconds.items()
                if any(histogram.counts)
            ],
            **_of_process(),
        }

    def _of_sessions(self) -> Snapshot:
        meter = self._manager.meter
        idle, busy = self._manager.live_sessions()
        return {
            "sgw_sessions": [(["idle"], idle), (["busy"], busy)],
            "sgw_sessions_started_total": _one(meter.begun),
            "sgw_sessions_adopted_total": _one(meter.adopted),
            "sgw_sessions_finished_total": _each(meter.over.items()),
            "sgw_session_expiry_lateness_seconds": [([], _ranges(meter.lateness))],
        }


def _of_calls(meter: CallMeter) -> Snapshot:
    totals: dict[tuple[str, str, str], float] = {}
    durations: Samples = []
    for app, calls in meter.apps.items():
        for (outcome, given), count in calls.ended.items():
            key = app, code_of(outcome), "worker" if given else "queue"
            totals[key] = totals.get(key, 0) + count
        if calls.ended:
            durations += [([app, "queue"], _ranges(calls.queued)), ([app, "worker"], _ranges(calls.worked))]
    return {"sgw_calls_total": _each(totals.items()), "sgw_call_duration_seconds": durations}


def code_of(outcome: Outcome) -> str:
    """Return the code under which a call is counted that ended so."""
    if outcome is None:
        return OK
    if issubclass(outcome, GatewayError):
        return row_of_class(outcome).code
    return CANCELLED


def _of_workers(figures: PoolFigures, meter: PoolMeter) -> Snapshot:
    return {
        "sgw_workers": _each_of(figures.workers),
        "sgw_workers_limit": _one(figures.limit),
        "sgw_worker_waiters": _one(figures.waiting),
        "sgw_worker_wait_seconds": [([], _ranges(meter.waits))],
        "sgw_worker_deaths_total": _each_of(meter.deaths),
        "sgw_orphan_workers": _one(figures.orphans),
        "sgw_stray_workers_total": _one(figures.strays),
    }


def _by_app(figures: PoolFigures, live: Mapping[tuple[str, bool], int]) -> Snapshot:
    sessions = {(app, "busy" if busy else "idle"): count for (app, busy), count in live.items()}
    waiting = {(app,): count for app, count in figures.waiting_by_app.items()}
    return {
        "sgw_app_sessions": _each(of_few_apps(sessions.items()).items()),
        "sgw_app_workers": _each(of_few_apps(figures.by_app.items()).items()),
        "sgw_app_worker_waiters": _each(of_few_apps(waiting.items()).items()),
    }


def of_few_apps(counts: Iterable[tuple[tuple[str, ...], int]]) -> dict[tuple[str, ...], int]:
    """Return numbers whose first label is an app with that of all apps beyond MAX_APPS, in order of name, as OTHER."""
    each = list(counts)
    known = frozenset(sorted({app for (app, *_), _ in each})[:MAX_APPS])
    few: Counter[tuple[str, ...]] = Counter()
    for (app, *rest), count in each:
        few[app if app in known else OTHER, *rest] += count
    return few


def _of_process() -> Snapshot:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "process_cpu_seconds_total": _one(used.ru_utime + used.ru_stime),
        "process_resident_memory_bytes": _one(pages * os.sysconf("SC_PAGE_SIZE")),
        "process_start_time_seconds": _one(_STARTED),
    }


def _one(value: float) -> Samples:
    return [([], float(value))]


def _each(counts: Iterable[tuple[tuple[str, ...], float]]) -> Samples:
    return [(list(labels), count) for labels, count in counts]


def _each_of(counts: Mapping[str, float]) -> Samples:
    return [([label], count) for label, count in counts.items()]


def _ranges(histogram: Histogram) -> Number:
    return [*histogram.counts, histogram.total]
