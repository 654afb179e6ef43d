"""Every metric that there is: its name, what it says, its labels. docs/operations.md has the same table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.metrics import CALL_BUCKETS, LATENESS_BUCKETS, STORE_BUCKETS, WAIT_BUCKETS


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: Sequence[float] = ()
    """Upper bounds, of a histogram."""
    of_process: bool = True
    """With several gateway processes each has its own, told apart by the label `process`."""


_TABLE = (
    Family(
        "sgw_build_info",
        "gauge",
        "Always 1; the labels say what runs.",
        ("version", "python", "transport"),
    ),
    Family("sgw_serving", "gauge", "1 while calls are taken, as health says; else 0."),
    Family("sgw_processes", "gauge", "Gateway processes that there are to be (`processes`).", of_process=False),
    Family("sgw_processes_up", "gauge", "Those of them whose numbers are on this page.", of_process=False),
    Family(
        "sgw_process_up",
        "gauge",
        "By gateway process: 1 if its numbers are on this page; 0 if it does not answer, or is being started.",
        ("process",),
        of_process=False,
    ),
    Family(
        "sgw_event_loop_stalls_total",
        "counter",
        "How often a gateway process was held up for more than a second, and answered nobody meanwhile.",
    ),
    Family(
        "sgw_tls_handshakes_refused_total",
        "counter",
        "Connections that ended in the handshake of TLS, by reason. Through grpcio they are not counted.",
        ("reason",),
    ),
    Family("sgw_connections", "gauge", "Connections of clients. Through grpcio they are not counted."),
    Family(
        "sgw_connections_ended_total",
        "counter",
        "Connections that the gateway ended or refused, by reason. Through grpcio they are not counted.",
        ("reason",),
    ),
    Family(
        "sgw_callers_refused_total",
        "counter",
        "Calls that were UNAUTHENTICATED when they came, by reason.",
        ("reason",),
    ),
    Family(
        "sgw_calls_total",
        "counter",
        "Calls that have been answered, by code (OK, a code of the contract, or CANCELLED: the caller left) and by the "
        "phase in which they ended: `queue` before a worker was given the call, `worker` after that.",
        ("app", "code", "phase"),
    ),
    Family(
        "sgw_call_duration_seconds",
        "histogram",
        "How long calls were in each phase: `queue` from the arrival to the worker, `worker` from there to the answer.",
        ("app", "phase"),
        CALL_BUCKETS,
    ),
    Family("sgw_calls_in_flight", "gauge", "Calls that run or wait."),
    Family(
        "sgw_rpc_errors_total",
        "counter",
        "Errors that callers were told, of every RPC, requests that were refused before they were a call included.",
        ("method", "code"),
    ),
    Family(
        "sgw_sessions",
        "gauge",
        "Active sessions: `busy` while a call runs or waits, else `idle`. Their sum is how many are alive.",
        ("state",),
    ),
    Family(
        "sgw_app_sessions",
        "gauge",
        "Active sessions by app; `state` as in `sgw_sessions`. Apps that have none are not there.",
        ("app", "state"),
    ),
    Family("sgw_sessions_started_total", "counter", "Sessions that were opened."),
    Family(
        "sgw_sessions_adopted_total",
        "counter",
        "Sessions taken over with their workers, from an earlier gateway or from another of several.",
    ),
    Family(
        "sgw_sessions_finished_total",
        "counter",
        "Sessions that are over, by status (`ended`, `expired`) and reason (as in `end_reason`).",
        ("status", "reason"),
    ),
    Family(
        "sgw_session_expiry_lateness_seconds",
        "histogram",
        "How long after its deadline a session had expired. It never expires before.",
        (),
        LATENESS_BUCKETS,
    ),
    Family(
        "sgw_workers",
        "gauge",
        "Worker processes by state; `leased` are those of sessions.",
        ("state",),
    ),
    Family(
        "sgw_app_workers",
        "gauge",
        "Worker processes by app; `state` as in `sgw_workers`. States that an app has none in are not there.",
        ("app", "state"),
    ),
    Family("sgw_workers_limit", "gauge", "Worker processes that there may be at a time."),
    Family("sgw_worker_waiters", "gauge", "Calls that wait for a fresh worker now."),
    Family(
        "sgw_app_worker_waiters",
        "gauge",
        "Calls that wait for a fresh worker now, by app. Apps for which none waits are not there.",
        ("app",),
    ),
    Family(
        "sgw_worker_wait_seconds",
        "histogram",
        "How long each one waited who wanted a fresh worker, whether it came or not.",
        (),
        WAIT_BUCKETS,
    ),
    Family(
        "sgw_worker_deaths_total",
        "counter",
        "Workers that ended unasked: the name of a signal, `exit`, `limit_memory` and the like, `unknown`; `start` if "
        "the app did not even start.",
        ("reason",),
    ),
    Family(
        "sgw_orphan_workers", "gauge", "Workers that are alive and that no gateway process knows of. 0, or a defect."
    ),
    Family(
        "sgw_stray_workers_total",
        "counter",
        "Workers that were found at the start, that no session on record needed, and that were ended.",
    ),
    Family(
        "sgw_store_operation_seconds",
        "histogram",
        "How long operations of the store took, with what they waited for.",
        ("operation",),
        STORE_BUCKETS,
    ),
    Family("sgw_store_available", "gauge", "1 while records can be read and written; else 0."),
    Family("sgw_store_failures_total", "counter", "How often the store became unavailable, by problem.", ("problem",)),
    Family("process_cpu_seconds_total", "counter", "Processor time of the gateway process, without its workers."),
    Family("process_resident_memory_bytes", "gauge", "Memory of the gateway process, without its workers."),
    Family("process_start_time_seconds", "gauge", "When the gateway process began, in seconds since the epoch."),
)

FAMILIES: Mapping[str, Family] = {family.name: family for family in _TABLE}

PROCESS_LABEL = "process"
"""On every metric of a process, with several gateway processes."""
