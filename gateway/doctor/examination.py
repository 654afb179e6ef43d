"""All checks, in the order in which one would look."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.config import Loaded, Settings
from gateway.doctor import callers, directory, isolation, machine, software, tls
from gateway.doctor.apps import apps
from gateway.doctor.cluster import cluster
from gateway.doctor.finding import Finding, failed, ok, skipped
from gateway.doctor.live import Caller, live
from gateway.doctor.ray import imported_here, of_the_nodes, ray
from gateway.doctor.redis import redis
from gateway.doctor.store import holder, store

Look = Callable[[], Finding | Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at."""

    loaded: Loaded
    caller: Caller


async def examine(subject: Subject) -> AsyncIterator[Finding]:
    """Yield a finding for each check, as they come."""
    for check, look in _installation(subject.loaded):
        for finding in attempted(check, look):
            yield finding
    if subject.loaded.settings.store.address is not None:
        async for finding in redis(subject.loaded.settings.store):
            yield finding
        async for finding in cluster(subject.loaded.settings):
            yield finding
    if subject.loaded.settings.workers.pool == "ray":
        async for finding in ray(subject.loaded.settings.ray):
            yield finding
    elsewhere = subject.loaded.settings.workers.pool == "ray"
    async for finding in apps(subject.loaded.settings):
        yield imported_here(finding) if elsewhere else finding
    for finding in live(subject.caller):
        yield finding


def attempted(check: str, look: Look) -> Iterator[Finding]:
    """Yield what a check finds; a failure where this user may not look, so that the others are made all the same."""
    try:
        found = look()
        yield from ([found] if isinstance(found, Finding) else found)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        yield failed(check, f"cannot be looked at: {what}", "Run this as the gateway's user, and check the path.")


def _installation(loaded: Loaded) -> Iterator[tuple[str, Look]]:
    settings = loaded.settings
    data_dir = settings.data_dir
    yield "python", software.python
    yield "packages", lambda: software.packages(software.extras_of(settings))
    yield "transport", lambda: software.transport(settings.server.transport)
    yield "settings", lambda: _settings(loaded)
    yield "kernel", machine.kernel
    yield from _workers(settings)
    yield "processors", lambda: machine.processors(settings.processes)
    yield "address", lambda: tls.listening(settings.server)
    yield "certificate", lambda: tls.certificates(settings.server)
    yield "client certificates", lambda: callers.client_certificates(settings.auth)
    yield "tokens", lambda: callers.tokens(settings.auth)
    yield "data directory", lambda: directory.present(data_dir)
    yield "permissions", lambda: directory.permissions(data_dir)
    yield "file system", lambda: directory.file_system(data_dir)
    yield "room", lambda: directory.room(data_dir)
    if settings.store.factory:
        yield "store", lambda: skipped("store", f"what {settings.store.factory} gives is not known here")
    if settings.store.embedded:
        yield "store", lambda: store(data_dir / "sessions.db")
    yield "data directory in use", lambda: _in_use(loaded)


def _workers(settings: Settings) -> Iterator[tuple[str, Look]]:
    most = settings.workers.max_workers
    elsewhere = settings.workers.pool == "ray"
    yield "open files", lambda: machine.open_files(most, elsewhere=elsewhere)
    if elsewhere:
        yield "workers", of_the_nodes
        return
    yield "processes", lambda: machine.processes(most)
    yield "memory", lambda: machine.memory(most)
    yield "isolation", lambda: isolation.profiles(settings.workers)


def _settings(loaded: Loaded) -> Iterator[Finding]:
    for problem in loaded.problems:
        yield failed("settings", problem, "Correct it; until then a gateway does not start.")
    if not loaded.problems:
        yield ok("settings", f"{len(loaded.given)} given, the rest are defaults; see sgw config show")


def _in_use(loaded: Loaded) -> Finding:
    process = holder(loaded.settings.data_dir)
    if process is None:
        return ok("data directory in use", "no gateway runs on it")
    return ok("data directory in use", f"by the gateway with the process number {process}")
