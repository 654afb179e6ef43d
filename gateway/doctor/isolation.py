"""Which of the profiles of docs/security.md this machine can give to apps."""

from collections.abc import Iterator

from gateway.doctor.finding import Finding, failed, ok, skipped, warning
from gateway.model import Profile
from gateway.sources.users import parse_user_range
from gateway.worker_settings import WorkerSettings
from gateway.workers.containment.machine import Lack, Machine


def profiles(settings: WorkerSettings, machine: Machine | None = None) -> Iterator[Finding]:
    """Yield a finding for each profile that a machine may not have."""
    machine = machine or Machine(parse_user_range(settings.user_range)[0])
    yield _users(settings, machine)
    yield _found("sandbox", machine.sandbox(), settings, "workers can be in a sandbox without network")


def _users(settings: WorkerSettings, machine: Machine) -> Finding:
    check = "isolation user"
    lack = machine.own_users()
    if lack is None and not machine.forks_to_users():
        do = "Allow user namespaces to root, or reckon with what the import of an app takes for each of its workers."
        return warning(check, "workers can be users of their own, but each is a fresh interpreter", do)
    if lack is not None and machine.is_root and settings.isolation in ("auto", "process"):
        return warning(check, f"apps run as root, and so can do anything: {lack.why}", lack.do)
    if machine.is_root and settings.isolation == "process":
        do = "Set workers.isolation to auto or user."
        return warning(check, "apps run as root, and so can do anything: workers.isolation is process", do)
    return _found("user", lack, settings, "workers can be users of their own")


def _found(profile: Profile, lack: Lack | None, settings: WorkerSettings, good: str) -> Finding:
    check = f"isolation {profile}"
    if lack is None:
        return ok(check, good)
    if settings.isolation == profile:
        return failed(check, f"no app starts: {lack.why}", lack.do)
    # Nobody may want it; an app that asks for it is refused, and told the same.
    return skipped(check, f"apps that ask for it do not start: {lack.why}")
