"""One dependency in the version that is locked."""

from dataclasses import dataclass
from urllib.parse import quote

ECOSYSTEMS = {
    "pypi": "PyPI",
    "npm": "npm",
    "golang": "Go",
    "cargo": "crates" + ".io",
    "maven": "Maven",
    "deb": "Debian:12",
}
"""Types of package URLs, and what the database of advisories calls their ecosystems."""


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """A package of somebody else."""

    type: str
    """That of its package URL: `pypi`, `npm`, ..."""
    name: str
    """As its ecosystem writes it: `@scope/name`, `golang.org/x/net`, `group:artifact`, `debian/package`."""
    version: str
    hashes: tuple[str, ...] = ()
    """`sha256:HEX`, `sha512:HEX`, or what only the ecosystem's own tool can check, such as `h1:...` of Go."""
    licence: str = ""
    """An SPDX expression; empty where the lock does not say."""
    runtime: bool = True
    """Whether it comes along with what is delivered, and is not only for building and testing."""
    source: tuple[str, str] = ("", "")
    """Name and version by which advisories know it, where those are others."""

    @property
    def purl(self) -> str:
        """The package URL (ECMA-427)."""
        path = "/".join(quote(part, safe="") for part in self.name.replace(":", "/").split("/"))
        return f"pkg:{self.type}/{path}@{quote(self.version, safe='')}"
