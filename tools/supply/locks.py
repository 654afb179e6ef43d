"""Reads the lock files of all languages."""

import base64
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.paths import ROOT
from tools.supply.component import Component

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock file."""

    path: str
    """From the top of the tree."""
    read: Callable[[str], Iterator[Component]]

    def components(self) -> list[Component]:
        """Return what it locks."""
        return sorted(set(self.read((ROOT / self.path).read_text(encoding="utf-8"))))


def pip(text: str, roots: Collection[str] = ()) -> Iterator[Component]:
    """Yield the pins of a file of pip's with hashes.

    What `roots` need is delivered; without them, what the projects of this tree need themselves.
    """
    runtime = _below(text, roots)
    for pin in _pip_pins(text):
        match = _PIN.match(pin)
        if match is None:
            raise ValueError(f"this is no pin: {pin.splitlines()[0]}")
        hashes = tuple(sorted(re.findall(r"--hash=(\S+)", pin)))
        yield Component("pypi", match[1].lower(), match[2], hashes, runtime=match[1].lower() in runtime)


def _pip_pins(text: str) -> Iterator[str]:
    """Yield each pin with the lines that belong to it."""
    lines: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            if lines:
                yield "\n".join(lines)
            lines = [line]
        elif lines and line[:1].isspace():
            lines.append(line)
    if lines:
        yield "\n".join(lines)


def _below(text: str, roots: Collection[str]) -> set[str]:
    """Return what is needed by the roots, however indirectly, by what the lock says of each pin."""
    wanted_by: dict[str, set[str]] = {}
    for pin in _pip_pins(text):
        match = _PIN.match(pin)
        comments = [line.strip("# ") for line in pin.splitlines() if line.strip().startswith("#")]
        reasons = {comment.removeprefix("via").strip() for comment in comments} - {""}
        wanted_by.setdefault(match[1].lower() if match else "", set()).update(reasons)
    # A dependency group has its name behind the file's.
    own = {reason for reasons in wanted_by.values() for reason in reasons if reason.endswith("pyproject.toml)")}
    found = set(roots) or own | {"sessiongateway"}
    while more := {name for name, reasons in wanted_by.items() if reasons & found} - found:
        found |= more
    return found


def npm(text: str) -> Iterator[Component]:
    """Yield the packages of a package-lock.json."""
    for place, entry in json.loads(text)["packages"].items():
        if place and not entry.get("link"):
            algorithm, _, digest = entry.get("integrity", "").partition("-")
            hashes = (f"{algorithm}:{base64.b64decode(digest).hex()}",) if digest else ()
            name = entry.get("name") or place.rpartition("node_modules/")[2]
            yield Component(
                "npm", name, entry["version"], hashes, entry.get("license", ""), runtime=not entry.get("dev", False)
            )


def go(text: str) -> Iterator[Component]:
    """Yield the modules of a go.sum whose code is used, not only their go.mod."""
    for line in text.splitlines():
        name, version, digest = line.split()
        if not version.endswith("/go.mod"):
            yield Component("golang", name, version, (digest,))


def cargo(text: str) -> Iterator[Component]:
    """Yield the crates of a Cargo.lock, or of one without the names of registries."""
    for package in tomllib.loads(text)["package"]:
        if "checksum" in package:
            yield Component("cargo", package["name"], package["version"], (f"sha256:{package['checksum']}",))


def maven(text: str) -> Iterator[Component]:
    """Yield the artifacts of a list with `group:artifact:version scope sha256:HEX` in each line."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinates, scope, digest = line.split()
            group, artifact, version = coordinates.split(":")
            runtime = scope in ("compile", "runtime")
            yield Component("maven", f"{group}:{artifact}", version, (digest,), runtime=runtime)


def debian(text: str) -> Iterator[Component]:
    """Yield the packages of a list with `package version source version-of-source scope sha256:HEX` in each line."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, version, source, of_source, scope, digest = line.split()
            yield Component(
                "deb", f"debian/{name}", version, (digest,), runtime=scope == "runtime", source=(source, of_source)
            )


PYTHON = (
    "requirements/bootstrap.lock",
    "requirements/dev.lock",
    "requirements/generate.lock",
    "requirements/bench.lock",
    "requirements/ray.lock",
    "requirements/supply.lock",
    "requirements/oldest.lock",
    "clients/cpp/generate.lock",
    ".ci/hadolint.lock",
    ".ci/kubernetes.lock",
)

LOCKS = (
    *(Lock(path, pip) for path in PYTHON),
    Lock("clients/typescript/package-lock.json", npm),
    *(Lock(f"{module}/go.sum", go) for module in ("clients/go", "bench/load", "bench/echo")),
    Lock("clients/rust/Cargo.pins", cargo),
    Lock("clients/java/dependencies.lock", maven),
    Lock("clients/cpp/packages.lock", debian),
    Lock("clients/ruby/packages.lock", debian),
)


def all_components() -> Mapping[str, list[Component]]:
    """Return what each lock file of the tree locks."""
    return {lock.path: lock.components() for lock in LOCKS}


def unlocked(root: Path = ROOT) -> list[str]:
    """Return lock files of the tree that are none of LOCKS."""
    patterns = ("*.lock", "package-lock.json", "go.sum", "Cargo.pins")
    folders = ("requirements", ".ci", "clients/*", "bench/*")
    known = {lock.path for lock in LOCKS}
    found = {
        path.relative_to(root).as_posix()
        for folder in folders
        for name in patterns
        for path in root.glob(f"{folder}/{name}")
    }
    return sorted(path for path in found - known if not path.endswith("Cargo.lock"))
