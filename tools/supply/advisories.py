"""Known vulnerabilities of what is locked, from whoever can be asked."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tools.paths import ROOT
from tools.supply.component import ECOSYSTEMS, Component

OSV = "https://api.osv.dev"
"""The database of all ecosystems; OSV_URL names a mirror of it."""

ACCEPTED = ROOT / "tools" / "supply" / "accepted.toml"

_AT_A_TIME = 500
_PATIENCE = 15.0
_TOOL_PATIENCE = 300


class NotAsked(Exception):
    """Nobody could be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """What somebody said about an ecosystem."""

    by: str
    checked: int
    advisories: Sequence[tuple[str, str]] = field(default_factory=list)
    """The package with its version, and the advisory's id."""


def ask_osv(components: Sequence[Component]) -> Found:
    """Ask the common database. Raises NotAsked."""
    url = os.environ.get("OSV_URL", OSV).rstrip("/")
    known: list[tuple[str, str]] = []
    for first in range(0, len(components), _AT_A_TIME):
        batch = components[first : first + _AT_A_TIME]
        queries = [_question(each) for each in batch]
        for each, result in zip(batch, _posted(f"{url}/v1/querybatch", {"queries": queries}), strict=True):
            found = (str(advisory["id"]) for advisory in result.get("vulns", ()))
            known += ((f"{each.name} {each.version}", id) for id in found if each.type != "deb" or _is_mended(id))
    return Found(url, len(components), known)


def _question(component: Component) -> Mapping[str, Any]:
    name, version = component.source if any(component.source) else (component.name, component.version)
    return {"version": version, "package": {"name": name, "ecosystem": ECOSYSTEMS[component.type]}}


def _is_mended(advisory: str) -> bool:
    """Return whether the distribution has announced a package without the fault: nothing helps against others."""
    return advisory.startswith(("DSA-", "DLA-"))


def _posted(url: str, document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            told = json.loads(answer.read())
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NotAsked(f"{url}: {reason}") from error
    results = told.get("results") if isinstance(told, dict) else None
    if not isinstance(results, list) or len(results) != len(document["queries"]):
        raise NotAsked(f"{url}: the answer is not one for each question")
    return results


def ask_pip_audit(locks: Iterable[str]) -> Found:
    """Ask the index of Python's packages, which may know of advisories, by pip-audit. Raises NotAsked."""
    checked, known = 0, []
    for lock in locks:
        for package in _pip_audited(lock):
            name = f"{package['name']} {package.get('version', '')}".strip()
            if reason := package.get("skip_reason"):
                raise NotAsked(f"the package index knows of no advisories: {reason}")
            checked += 1
            known += [(name, advisory["id"]) for advisory in package["vulns"]]
    return Found("the package index", checked, known)


def _pip_audited(lock: str) -> Sequence[Mapping[str, Any]]:
    program = Path(sys.executable).with_name("pip-audit")
    if not program.exists():
        raise NotAsked("pip-audit is not installed")
    words = [str(program), "--disable-pip", "--require-hashes", "-r", lock, "-f", "json", "--progress-spinner", "off"]
    found: Sequence[Mapping[str, Any]] = _json_of([*words, "--timeout", str(int(_PATIENCE))], ROOT)["dependencies"]
    return found


def ask_npm() -> Found:
    """Ask npm's registry. Raises NotAsked."""
    if shutil.which("npm") is None:
        raise NotAsked("npm is not installed")
    told = _json_of(["npm", "audit", "--json", "--package-lock-only"], ROOT / "clients" / "typescript")
    if "vulnerabilities" not in told:
        raise NotAsked(f"npm's registry: {told.get('message') or told.get('error') or 'no answer'}")
    known = [
        (f"{name} {entry.get('range', '')}", str(via.get("url", via.get("source"))))
        for name, entry in told["vulnerabilities"].items()
        for via in entry["via"]
        if isinstance(via, dict)
    ]
    return Found("npm's registry", told["metadata"]["dependencies"]["total"], known)


def _json_of(words: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return what a program tells. Its exit code says whether it found anything, too."""
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TOOL_PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        told: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAsked(f"{words[0]}: {error}") from error
    except ValueError:
        last = (done.stderr.strip() or "no answer").splitlines()[-1]
        raise NotAsked(f"{Path(words[0]).name}: {last}") from None
    return told


def asked(components: Sequence[Component], others: Sequence[Callable[[], Found]]) -> tuple[Found | None, list[str]]:
    """Return what the first of all who can be asked has said, and why each before it could not be."""
    reasons: list[str] = []
    for ask in (lambda: ask_osv(components), *others):
        try:
            return ask(), reasons
        except NotAsked as error:
            reasons.append(str(error))
    return None, reasons


def accepted(path: Path = ACCEPTED, today: date | None = None) -> dict[str, str]:
    """Return the advisories that somebody has looked at and lets stand, with the reason, until their day has come."""
    now = today or datetime.now(UTC).date()
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
    return {entry["id"]: entry["why"] for entry in entries if entry["until"] > now}


def standing(found: Iterable[tuple[str, str]], let: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each advisory that nobody has accepted."""
    return (f"{package}: {advisory}" for package, advisory in found if advisory not in let)
