"""What must hold of every dependency, whatever is known of its faults. Needs no network."""

import re
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from functools import cache
from importlib.metadata import distributions
from typing import cast

from tools.paths import ROOT
from tools.supply.component import Component

LICENCES = frozenset(
    (
        "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0",
        "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unicode-3.0",
        "Unlicense", "Zlib",
    )
)  # fmt: skip
"""Under which something may come along with what is delivered (SPDX)."""

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

_NAMES = {"Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "3-Clause BSD License": "BSD-3-Clause"}
"""What older packages write in place of an SPDX expression."""

_STRONG = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Hashes that hold, with their hexadecimal digits."""


def faults(locks: Mapping[str, Iterable[Component]]) -> Iterator[str]:
    """Yield what is wrong, each as one line that names the lock file."""
    for path, components in locks.items():
        for component in components:
            where = f"{path}: {component.name} {component.version}"
            # To Debian a tilde is part of a version.
            if re.search(r"[*^<>=, ]" if component.type == "deb" else r"[*^~<>=, ]", component.version):
                yield f"{where}: is no single version"
            if not component.hashes:
                yield f"{where}: has no hash"
            yield from (f"{where}: {text} is no hash that holds" for text in component.hashes if not _holds(text))
            if component.runtime and (licence := component.licence) and not allowed(licence):
                yield f"{where}: is delivered, and its licence is {licence}"


def _holds(text: str) -> bool:
    algorithm, _, digest = text.partition(":")
    if algorithm == "h1":  # SHA-256 of a module, in base 64
        return len(digest) == len("=" * 44) and digest.endswith("=")
    return len(digest) == _STRONG.get(algorithm) and re.fullmatch("[0-9a-f]+", digest) is not None


def allowed(expression: str) -> bool:
    """Return whether an SPDX expression lets something be delivered: of an `OR`, one side is enough."""
    text = expression.replace("(", " ").replace(")", " ")
    return all(any(part.strip() in LICENCES for part in each.split(" OR ")) for each in re.split(r" AND ", f" {text} "))


def with_licences(components: Iterable[Component]) -> list[Component]:
    """Return Python's packages with what those that are installed here say of their licences."""
    return [
        Component(each.type, each.name, each.version, each.hashes, _licence(each.name), each.runtime)
        for each in components
    ]


def _licence(name: str) -> str:
    about = _installed().get(name)
    if about is None:
        return ""  # for another platform, or another environment
    if expression := about["License-Expression"]:
        return str(expression)
    classifiers = [
        text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if text.startswith("License")
    ]
    known = [_CLASSIFIERS[text] for text in classifiers if text in _CLASSIFIERS]
    written = str(about["License"] or "").strip()
    return " AND ".join(known) or _NAMES.get(written, written) or "unknown"


@cache
def _installed() -> Mapping[str, Message]:
    """Return what the packages that are installed in .venv say of themselves."""
    places = [str(path) for path in ROOT.glob(".venv/lib/python*/site-packages")]
    return {
        re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): cast("Message", each.metadata)
        for each in distributions(path=places)
    }
