"""What is shown, made of what two looks at a gateway have found. Nothing here fetches or draws."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.cli.top.growth import NOTHING, Growth, growth
from gateway.cli.top.page import Page, Series
from sessiongateway import AppInfo, SessionInfo

_OTHER = "other"
"""All apps that the gateway does not count by name."""

_NO_FAILURE = ("OK", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one moment."""

    at: float
    """In seconds on a clock that does not jump."""
    sessions: Sequence[SessionInfo] = ()
    """Active ones that the caller may see, the newest first."""
    more: bool = False
    """There are more of them than were read."""
    apps: Sequence[AppInfo] = ()
    page: Page | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each worker that is on this machine."""
    problem: str = ""
    """Why the gateway was not reached; then the rest is of an earlier look."""
    notes: Sequence[str] = ()
    """What is missing, and how to get it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The gateway as a whole. None stands for what is not known."""

    version: str | None = None
    transport: str | None = None
    serving: bool | None = None
    processes: int | None = None
    processes_up: int | None = None
    uptime: float | None = None
    """Seconds since the oldest process began."""
    calls: float | None = None
    """A second, as are errors: calls that did not end well, though nobody cancelled them."""
    errors: float | None = None
    in_flight: int | None = None
    sessions: int = 0
    busy: int | None = None
    waiting: int | None = None
    workers: Mapping[str, int] = field(default_factory=dict)
    """By state."""
    workers_limit: int | None = None
    store_available: bool | None = None
    store_p50: float | None = None
    store_p99: float | None = None
    cpu: float | None = None
    """Processors that the gateway takes, without its workers."""
    memory: float | None = None
    """Bytes, without its workers."""


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app."""

    name: str
    sessions: int = 0
    busy: int | None = None
    warm: int | None = None
    starting: int | None = None
    shared: int | None = None
    waiting: int | None = None
    calls: float | None = None
    errors: float | None = None
    queue_p50: float | None = None
    queue_p99: float | None = None
    worker_p50: float | None = None
    worker_p99: float | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session."""

    id: str
    app: str
    version: str
    age: float | None
    idle: float | None
    """Seconds since its newest call was admitted."""
    left: float
    calls: int
    rate: float | None
    """Calls a second."""
    memory: int | None
    worker: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything."""

    head: Head
    apps: Sequence[AppRow]
    sessions: Sequence[SessionRow]
    more: bool
    seconds: float
    """Between the two looks; 0.0 after the first."""
    problem: str = ""
    notes: Sequence[str] = ()

    @property
    def session_calls(self) -> float | None:
        """Calls a second in those sessions whose rates are known; None if no rate is. Calls without a session, and
        those of other callers, are not in it.
        """
        rates = [row.rate for row in self.sessions if row.rate is not None]
        return sum(rates) if rates else None


def picture(before: Look | None, now: Look) -> Picture:
    """Return what is to be seen of a gateway after two looks, or after the first one."""
    grown = growth(before.page if before else None, now.page) if now.page else NOTHING
    seconds = now.at - before.at if before else 0.0
    return Picture(
        head=_head(now, grown),
        apps=_apps(now, grown),
        sessions=_sessions(before, now, seconds),
        more=now.more,
        seconds=seconds,
        problem=now.problem,
        notes=now.notes,
    )


def _head(now: Look, grown: Growth) -> Head:
    page = now.page
    if page is None:
        return Head(sessions=len(now.sessions))
    series = page.series
    build = next(series.of("sgw_build_info"), None)
    starts = page.starts.values()
    p50, p99 = grown.quantiles("sgw_store_operation_seconds", (0.5, 0.99))
    states = Counter[str]()
    for sample in series.of("sgw_workers"):
        states[sample.labels["state"]] += int(sample.value)
    return Head(
        version=build.labels.get("version") if build else None,
        transport=build.labels.get("transport") if build else None,
        serving=all(sample.value for sample in series.of("sgw_serving")),
        processes=int(series.total("sgw_processes")),
        processes_up=int(series.total("sgw_processes_up")),
        uptime=max(0.0, page.wall - min(starts)) if starts else None,
        calls=grown.rate("sgw_calls_total"),
        errors=_errors(grown),
        in_flight=int(series.total("sgw_calls_in_flight")),
        sessions=int(series.total("sgw_sessions")),
        busy=int(series.total("sgw_sessions", state="busy")),
        waiting=int(series.total("sgw_worker_waiters")),
        workers=dict(states),
        workers_limit=int(series.total("sgw_workers_limit")),
        store_available=all(sample.value for sample in series.of("sgw_store_available")),
        store_p50=p50,
        store_p99=p99,
        cpu=grown.rate("process_cpu_seconds_total"),
        memory=series.total("process_resident_memory_bytes"),
    )


def _errors(grown: Growth, **labels: str) -> float | None:
    calls = grown.rate("sgw_calls_total", **labels)
    if calls is None:
        return None
    well = sum(grown.rate("sgw_calls_total", code=code, **labels) or 0.0 for code in _NO_FAILURE)
    return max(0.0, calls - well)


def _apps(now: Look, grown: Growth) -> list[AppRow]:
    """Return the apps that are deployed or have been called, the busiest first."""
    leased = Counter(info.app for info in now.sessions)
    if now.page is None:
        rows = [AppRow(name, leased[name]) for name in {app.name for app in now.apps} | set(leased)]
    else:
        counted = {sample.labels["app"] for sample in now.page.series.of("sgw_calls_total")}
        held = {sample.labels["app"] for sample in now.page.series.of("sgw_app_workers")}
        rows = [_app(name, now.page.series, grown) for name in {app.name for app in now.apps} | counted | held]
        rows = [row for row in rows if row.name != _OTHER or row.calls]
    return sorted(rows, key=lambda row: (row.name == _OTHER, -(row.calls or 0.0), -row.sessions, row.name))


def _app(name: str, series: Series, grown: Growth) -> AppRow:
    queue = grown.quantiles("sgw_call_duration_seconds", (0.5, 0.99), app=name, phase="queue")
    worker = grown.quantiles("sgw_call_duration_seconds", (0.5, 0.99), app=name, phase="worker")
    return AppRow(
        name=name,
        sessions=int(series.total("sgw_app_sessions", app=name)),
        busy=int(series.total("sgw_app_sessions", app=name, state="busy")),
        warm=int(series.total("sgw_app_workers", app=name, state="idle")),
        starting=int(series.total("sgw_app_workers", app=name, state="starting")),
        shared=int(series.total("sgw_app_workers", app=name, state="shared")),
        waiting=int(series.total("sgw_app_worker_waiters", app=name)),
        calls=grown.rate("sgw_calls_total", app=name),
        errors=_errors(grown, app=name),
        queue_p50=queue[0],
        queue_p99=queue[1],
        worker_p50=worker[0],
        worker_p99=worker[1],
    )


def _sessions(before: Look | None, now: Look, seconds: float) -> list[SessionRow]:
    earlier = {info.id: info.call_count for info in before.sessions} if before else {}
    # By the gateway's clock alone: what is left of a timeout says when "now" was, unless a call prolongs it.
    moments = [info.expires_at - info.expires_in for info in now.sessions if info.expires_at is not None]
    moment = max(moments) if moments else None
    return [
        _session(info, moment, earlier.get(info.id), now.memory.get(info.worker_id), seconds) for info in now.sessions
    ]


def _session(
    info: SessionInfo, moment: datetime | None, calls: int | None, memory: int | None, seconds: float
) -> SessionRow:
    return SessionRow(
        id=info.id,
        app=info.app,
        version=info.version,
        age=_since(info.created_at, moment),
        idle=_since(info.last_call_at, moment),
        left=info.expires_in.total_seconds(),
        calls=info.call_count,
        rate=None if calls is None or seconds <= 0 else (info.call_count - calls) / seconds,
        memory=memory,
        worker=info.worker_id,
    )


def _since(began: datetime | None, moment: datetime | None) -> float | None:
    return max(0.0, (moment - began).total_seconds()) if began and moment else None
