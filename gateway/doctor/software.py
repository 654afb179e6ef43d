"""Python, the installed packages, and the transport."""

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from gateway.config import Settings
from gateway.doctor.finding import Finding, failed, ok, warning
from gateway.rpc.transports import MISSING

OLDEST_PYTHON = (3, 11)

_PRODUCT = "session-gateway"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[([^]]*)\])?\s*(.*)")
_EXTRA = re.compile(r"""extra\s*==\s*["']([A-Za-z0-9._-]+)["']""")
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
    extras: Collection[str] = (),
    requirements: Callable[[str], Sequence[str] | None] = requires,
    installed: Callable[[str], str] = version,
    locked: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Whether each package that the gateway needs, with these extras of it, is there in a version that it allows, and
    in the one that was tested, where the lock file is at hand.
    """
    pins = _pins() if locked is None else locked
    good = []
    for name, limits, argument in _needed(_PRODUCT, extras, requirements):
        do = f"Install it: pip install '{argument}'"
        try:
            found = installed(name)
        except PackageNotFoundError:
            yield failed("packages", f"{name} is not installed", do)
            continue
        pinned = pins.get(_canonical(name))
        if not _allowed(found, limits):
            yield failed("packages", f"{name} {found} is not {limits}", do)
        elif pinned is not None and pinned != found:
            do = f"Install the one that was tested: pip install '{name}=={pinned}'"
            yield warning("packages", f"{name} is {found}, the lock file has {pinned}", do)
        else:
            good.append(f"{name} {found}")
    if good:
        yield ok("packages", ", ".join(good))


def extras_of(settings: Settings) -> list[str]:
    """Return the extras of the gateway that these settings need."""
    wanted = {
        "jwt": settings.auth.jwt_issuer,
        "tracing": settings.tracing.endpoint,
        "redis": settings.store.address is not None,
        "ray": settings.workers.pool == "ray",
    }
    return [extra for extra, setting in wanted.items() if setting]


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


def _needed(
    product: str, extras: Collection[str], requirements: Callable[[str], Sequence[str] | None]
) -> Iterator[tuple[str, str, str]]:
    """Yield name and limits of each package that one needs, and what to give pip for it. Those that a requirement's own
    extras bring, such as the cryptography of `pyjwt[crypto]`, follow it.
    """
    try:
        lines = requirements(product) or []
    except PackageNotFoundError:
        return  # what it would need is told when it is there
    for line in lines:
        text, _, marker = line.partition(";")
        match, extra = _REQUIREMENT.match(text.strip()), _EXTRA.fullmatch(marker.strip())
        if match is None or (marker and (extra is None or extra[1] not in extras)):
            continue
        name, own, limits = match[1], match[2], match[3].replace(" ", "")
        yield name, limits, f"{product}[{extra[1]}]" if extra else f"{name}{limits}"
        if extra and own:
            for inner, inner_limits, _ in _brought(name, own, requirements):
                yield inner, inner_limits, f"{product}[{extra[1]}]"


def _brought(
    product: str, extras: str, requirements: Callable[[str], Sequence[str] | None]
) -> Iterator[tuple[str, str, str]]:
    """Yield what these extras, separated by commas, need besides the package itself."""
    wanted = [extra.strip() for extra in extras.split(",")]
    return (each for each in _needed(product, wanted, requirements) if each[2].startswith(f"{product}["))


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
