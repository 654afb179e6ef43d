"""The lock files of the clients for C++ and Ruby, which are made with packages of Debian: what apt resolves.

A lock of Bundler's would name a registry, and C++ has none.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser

from tools.paths import ROOT
from tools.supply.advisories import NotAsked

_HEAD = (
    "# What apt resolves of Debian 12 for amd64: package, version, source, of that, scope, hash of the package.\n"
    "# `make lock-debian` writes it, `make audit` compares. What is needed only by what builds or tests is left out.\n"
)
_RELEASE = "12"
_PATIENCE = 60
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class Client:
    """A client that is made with packages of Debian."""

    lock: str
    script: str
    """Names all packages that it installs, in arrays of the shell."""
    delivered: tuple[str, ...]
    """Those that its users need, too."""
    checks: tuple[str, ...] = ()
    """What another script installs, to check with."""

    def packages(self) -> set[str]:
        """Return what the script installs."""
        text = (ROOT / self.script).read_text(encoding="utf-8")
        arrays = re.findall(r"^(?:\w+_)?PACKAGES=\(([^)]*)\)", text, re.MULTILINE)
        return {name for array in arrays for name in array.split()} | set(self.checks)


CLIENTS = (
    Client(
        "clients/cpp/packages.lock",
        "clients/cpp/build",
        ("libgrpc++-dev", "libprotobuf-dev", "nlohmann-json3-dev"),
        ("clang-format", "clang-tidy"),
    ),
    Client(
        "clients/ruby/packages.lock",
        "clients/ruby/toolchain.sh",
        ("ruby", "ruby-grpc", "ruby-google-protobuf", "ruby-googleapis-common-protos-types"),
    ),
)


def resolved(client: Client) -> str:
    """Return the lock file of a client as it would be written now. Raises NotAsked where apt is not of Debian 12."""
    release = _told(["sh", "-c", '. /etc/os-release && echo "$ID $VERSION_ID"']).strip()
    if release != f"debian {_RELEASE}":
        raise NotAsked(f"this is {release}, not debian {_RELEASE}")
    if shutil.which("apt-cache") is None:
        raise NotAsked("there is no apt-cache")
    wanted = client.packages()
    known: dict[str, Message] = {}
    delivered = _with_needs(client.delivered, known)
    known |= {each["Package"]: each for each in _asked(sorted(wanted - set(known)))}
    if missing := wanted - set(known):
        raise NotAsked(f"apt knows nothing of {', '.join(sorted(missing))}; apt-get update?")
    return lock_of({name: about for name, about in known.items() if name in delivered | wanted}, delivered)


def lock_of(known: Mapping[str, Message], delivered: Iterable[str]) -> str:
    """Return the lock file for packages by what apt tells of them."""
    lines = []
    for name, about in sorted(known.items()):
        source, _, of_source = str(about.get("Source", name)).partition(" ")
        # Built again without a change of the source: advisories speak of the source.
        version = of_source.strip("()") or re.sub(r"\+b\d+$", "", about["Version"])
        scope = "runtime" if name in set(delivered) else "build"
        lines.append(f"{name} {about['Version']} {source} {version} {scope} sha256:{about['SHA256']}\n")
    return _HEAD + "".join(lines)


def needs(about: Message) -> Iterator[str]:
    """Yield what a package needs; of alternatives the first, which apt takes."""
    for field in ("Pre-Depends", "Depends"):
        for each in str(about.get(field, "")).split(","):
            if match := _NAME.match(each.strip()):
                yield match[0]


def _with_needs(roots: Iterable[str], known: dict[str, Message]) -> set[str]:
    """Return the roots and all that they need, however indirectly; `known` is given what apt tells of them."""
    asked: set[str] = set()
    wanted = set(roots)
    while more := wanted - asked:
        asked |= more
        found = {about["Package"]: about for about in _asked(sorted(more))}
        known |= found
        wanted |= {need for about in found.values() for need in needs(about)}
    # What has no record of its own is a name that others provide.
    return asked & set(known)


def _asked(names: Sequence[str]) -> Iterator[Message]:
    if not names:
        return
    for record in _told(["apt-cache", "show", "--no-all-versions", *names]).split("\n\n"):
        if record.strip():
            yield Parser().parsestr(record, headersonly=True)


def _told(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAsked(f"{words[0]}: {error}") from error
    return done.stdout
