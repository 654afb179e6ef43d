"""`python -m tools.supply audit|sbom|lock-java|lock-debian`."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tools.paths import ROOT
from tools.supply import advisories, debian, maven, policy, withdrawn
from tools.supply.component import Component
from tools.supply.locks import PYTHON, all_components, unlocked

_UV = ROOT / ".venv" / "bin" / "uv"


class Report:
    """What was found, told as it is found."""

    def __init__(self) -> None:
        self.failures = 0
        self.unasked = 0

    def passed(self, what: str) -> None:
        """Tell that something is well."""
        print(f"  ok           {what}", flush=True)

    def failed(self, what: str) -> None:
        """Tell of a fault."""
        self.failures += 1
        print(f"  FAILED       {what}", flush=True)

    def not_checked(self, what: str) -> None:
        """Tell what nobody could be asked about, and why."""
        self.unasked += 1
        print(f"  not checked  {what}", flush=True)


def _policy(report: Report, locks: Mapping[str, Sequence[Component]]) -> None:
    print("Every version is pinned with a hash, under a licence that lets it be delivered:")
    licensed = {path: policy.with_licences(found) if path in PYTHON else found for path, found in locks.items()}
    faults = [*policy.faults(licensed), *(f"{path}: is a lock file that nobody audits" for path in unlocked())]
    for fault in faults:
        report.failed(fault)
    if not faults:
        report.passed(f"{sum(map(len, locks.values()))} pins in {len(locks)} lock files")


def _withdrawn(report: Report, locks: Mapping[str, Sequence[Component]]) -> None:
    print("Nothing has been withdrawn by those who published it:")
    for lock in PYTHON:
        _tell(report, lock, partial(withdrawn.python, _UV, lock, sys.executable))
    modules = {each for components in locks.values() for each in components if each.type == "golang"}
    _tell(report, f"{len(modules)} modules of Go", partial(withdrawn.go, sorted(modules)))
    report.not_checked("npm, Rust, Java, Debian: their lock files and tools do not tell of it offline")


def _resolved(report: Report) -> None:
    print("What Maven and apt resolve is what is locked (every other tool refuses by itself what has another hash):")

    def differing(resolved: Callable[[], str], lock: str) -> list[str]:
        locked = (ROOT / lock).read_text(encoding="utf-8")
        return sorted(set(resolved().splitlines()) ^ set(locked.splitlines()))

    _tell(report, "clients/java", partial(differing, maven.resolved, str(maven.LOCK)))
    for client in debian.CLIENTS:
        _tell(report, client.lock, partial(differing, partial(debian.resolved, client), client.lock))


def _tell(report: Report, what: str, look: Callable[[], Sequence[str]]) -> None:
    try:
        found = look()
    except advisories.NotAsked as error:
        report.not_checked(f"{what}: {error}")
        return
    for each in found:
        report.failed(f"{what}: {each}")
    if not found:
        report.passed(what)


def _advisories(report: Report, locks: Mapping[str, Sequence[Component]]) -> None:
    print("No vulnerability is known that nobody has looked at (tools/supply/accepted.toml):")
    own: dict[str, list[Callable[[], advisories.Found]]] = {
        "pypi": [partial(advisories.ask_pip_audit, PYTHON)],
        "npm": [advisories.ask_npm],
    }
    let = advisories.accepted()
    by_type: dict[str, set[Component]] = {}
    for components in locks.values():
        for component in components:
            by_type.setdefault(component.type, set()).add(component)
    for type, versions in sorted(by_type.items()):
        found, reasons = advisories.asked(sorted(versions), own.get(type, []))
        if found is None:
            report.not_checked(f"{type}, {len(versions)} versions: {'; '.join(reasons)}")
            continue
        standing = list(advisories.standing(found.advisories, let))
        for each in standing:
            report.failed(f"{type}: {each}")
        if not standing:
            report.passed(f"{type}: {found.checked} versions, asked {found.by}")


def audit() -> int:
    """Look at everything. Returns the exit code: 1 for a fault, or, with AUDIT_ALL set, for what could not be asked."""
    report = Report()
    locks = all_components()
    _policy(report, locks)
    _withdrawn(report, locks)
    _resolved(report)
    _advisories(report, locks)
    print(f"{report.failures} faults, {report.unasked} not checked")
    return int(bool(report.failures or (report.unasked and os.environ.get("AUDIT_ALL"))))


def sbom() -> int:
    """Write the bills. Returns the exit code."""
    # What it is written with lives in an environment of its own.
    from tools.supply.sbom import written  # noqa: PLC0415

    for path, count in written():
        print(f"{path.relative_to(ROOT)}: {count} components, valid CycloneDX 1.6")
    return 0


def lock_java() -> int:
    """Write the lock file of the client for Java. Returns the exit code."""
    maven.LOCK.write_text(maven.resolved(), encoding="utf-8")
    return 0


def lock_debian() -> int:
    """Write the lock files of the clients for C++ and Ruby. Returns the exit code."""
    for client in debian.CLIENTS:
        (ROOT / client.lock).write_text(debian.resolved(client), encoding="utf-8")
    return 0


if __name__ == "__main__":
    tasks = {"audit": audit, "sbom": sbom, "lock-java": lock_java, "lock-debian": lock_debian}
    sys.exit(tasks[sys.argv[1]]())
