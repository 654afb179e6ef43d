"""Python, the installed packages, and the transport."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from gateway.doctor.finding import Finding, failed, ok, warning
from gateway.rpc.transports import MISSING

OLDEST_PYTHON = (3, 11)

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)")
_LIMIT = re.compile(r"(==|>=|<=|!=|>|<)\s*([\d.]+)")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([\w.]+)", re.MULTILINE)
_LOCK = Path(__file__).parents[2] / "requirements" / "dev.lock"


def python(running: Sequence[int] = sys.version_info[:3]) -> Finding:
    """Whether this Python is new enough."""
    text = "Python " + ".".join(map(str, running))
    if tuple(running[:2]) < OLDEST_PYTHON:
        return failed("python", f"{text} is too old", "Install with Python 3.11 or newer.")
    return ok("python", text)


def packages(
    required: Sequence[str] | None = None,
    installed: Callable[[str], str] = version,
    locked: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Whether each package that the gateway needs is there in a version that it allows, and in the one that was
    tested, where the lock file is at hand.
    """
    pins = _pins() if locked is None else locked
    good = []
    for name, limits in _requirements(requires("session-gateway") or [] if required is None else required):
        try:
            found = installed(name)
        except PackageNotFoundError:
            yield failed("packages", f"{name} is not installed", f"Install it: pip install '{name}{limits}'")
            continue
        pinned = pins.get(_canonical(name))
        if not _allowed(found, limits):
            yield failed("packages", f"{name} {found} is not {limits}", f"Install it: pip install '{name}{limits}'")
        elif pinned is not None and pinned != found:
            do = f"Install the one that was tested: pip install '{name}=={pinned}'"
            yield warning("packages", f"{name} is {found}, the lock file has {pinned}", do)
        else:
            good.append(f"{name} {found}")
    if good:
        yield ok("packages", ", ".join(good))


def transport(wanted: Literal["auto", "nghttp2", "grpcio"], missing: str | None = MISSING) -> Finding:
    """Whether the transport that is asked for was built."""
    if missing is None:
        return ok("transport", "the extension for nghttp2 is built" + (", not used" if wanted == "grpcio" else ""))
    if wanted == "grpcio":
        return ok("transport", "grpcio, as server.transport says")
    do = "Install a C compiler, Python's headers and nghttp2's (Debian: gcc python3-dev libnghttp2-dev), then install "
    do += "the gateway again."
    text = f"the extension for nghttp2 cannot be used ({missing})"
    if wanted == "nghttp2":
        return failed("transport", text, f"{do} Or leave server.transport at auto.")
    return warning("transport", f"{text}; grpcio serves in its place, with twice the processor time per call", do)


def _requirements(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        text, _, marker = line.partition(";")
        match = _REQUIREMENT.match(text.strip())
        if match is not None and not marker:
            yield match[1], match[2].replace(" ", "")


def _allowed(found: str, limits: str) -> bool:
    have = _numbers(found)
    compare: dict[str, Callable[[tuple[int, ...]], bool]] = {
        "==": lambda want: have == want,
        "!=": lambda want: have != want,
        ">=": lambda want: have >= want,
        "<=": lambda want: have <= want,
        ">": lambda want: have > want,
        "<": lambda want: have < want,
    }
    return all(compare[sign](_numbers(number)) for sign, number in _LIMIT.findall(limits))


def _numbers(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:4]]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _pins() -> dict[str, str]:
    try:
        text = _LOCK.read_text(encoding="utf-8")
    except OSError:
        return {}  # only a source tree has it
    found: dict[str, set[str]] = {}
    for name, pinned in _PIN.findall(text):
        found.setdefault(_canonical(name), set()).add(pinned)
    return {name: versions.pop() for name, versions in found.items() if len(versions) == 1}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
