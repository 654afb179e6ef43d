"""What is installed is pinned, by version and hash, and nothing of it depends on one index."""

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.paths import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def pins(lock: Path) -> list[tuple[str, list[str]]]:
    """Return the pins of a lock file with their hashes; a name may have several, each for other Pythons."""
    found: list[tuple[str, list[str]]] = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        text = line.rstrip("\\ ").lstrip()
        if line.startswith(" ") and not text.startswith("#"):
            found[-1][1].append(text)
        elif text and not text.startswith("#"):
            found.append((text, []))
    return found


def declared() -> dict[str, list[str]]:
    """Return the requirements of server and SDK, and those of each dependency group."""
    server, sdk = (_project(path) for path in ("pyproject.toml", "clients/python/pyproject.toml"))
    extras = sdk["project"]["optional-dependencies"].values()
    return {
        **server["dependency-groups"],
        "server": server["project"]["dependencies"],
        "sdk": [*sdk["project"]["dependencies"], *itertools.chain(*extras)],
    }


def _project(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_requirement_has_a_version_and_hashes(lock: Path) -> None:
    found = pins(lock)
    assert found
    bare = [pin for pin, hashes in found if not hashes or not all(text.startswith("--hash=sha256:") for text in hashes)]
    assert bare == []
    assert [pin for pin, _ in found if not Requirement(pin).specifier or "==" not in pin] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_file_holds_a_url(lock: Path) -> None:
    assert "://" not in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lock", "groups"),
    [
        ("bootstrap.lock", ["bootstrap"]),
        ("generate.lock", ["generate"]),
        ("bench.lock", ["bench"]),
        ("ray.lock", ["ray"]),
        ("supply.lock", ["supply"]),
        ("dev.lock", ["examples", "test", "check", "server", "sdk"]),
    ],
)
def test_every_declared_requirement_is_locked_in_a_version_that_it_allows(lock: str, groups: list[str]) -> None:
    requirements = [Requirement(text) for group in groups for text in declared()[group]]
    locked = [Requirement(pin) for pin, _ in pins(ROOT / "requirements" / lock)]
    # The SDK is of this tree, not from an index.
    wanting = [
        str(wanted) for wanted in requirements if wanted.name != "sessiongateway" and not allowed(wanted, locked)
    ]
    assert wanting == [], "run: make lock"


def allowed(wanted: Requirement, locked: list[Requirement]) -> bool:
    """Return whether the lock pins what is wanted, in one version or several, each of which it allows."""
    name = canonicalize_name(wanted.name)
    pinned = [version for pin in locked if canonicalize_name(pin.name) == name for version in pin.specifier]
    return bool(pinned) and all(wanted.specifier.contains(version.version) for version in pinned)
