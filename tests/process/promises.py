"""What each profile promises: the table of docs/security.md, and what the tests of a hostile app try.

The test tries every attempt in every column. Where nothing is promised it must succeed: or it would prove nothing where
it is refused.
"""

from dataclasses import dataclass
from typing import Literal

Profile = Literal["process", "user", "sandbox"]


@dataclass(frozen=True, slots=True)
class Column:
    """A profile, and the user that the gateway runs as."""

    profile: Profile
    root: bool

    @property
    def title(self) -> str:
        """How the page calls it."""
        return f"`{self.profile}`" + {True: ", root", False: ""}[self.root]


COLUMNS = (
    Column("process", root=False),
    Column("process", root=True),
    Column("user", root=True),
    Column("sandbox", root=False),
    Column("sandbox", root=True),
)

Kept = tuple[bool, bool, bool, bool, bool]

NEVER: Kept = (True,) * 5
"""Refused in every profile."""
TO_ORDINARY: Kept = (True, False, True, True, True)
"""Refused unless the app itself is root."""
APART: Kept = (False, False, True, True, True)
LOCKED_IN: Kept = (False, False, False, True, True)

PROMISES: dict[str, tuple[str, Kept]] = {
    "other_files": ("read the files of another session", APART),
    "other_signal": ("signal another worker", APART),
    "other_memory": ("read another worker's memory and environment", APART),
    "other_trace": ("trace another worker with ptrace", APART),
    "other_socket": ("connect to another worker's socket", APART),
    "store": ("read `sessions.db`", APART),
    "keys": ("read the key store, `keys.json`", APART),
    "keys_written": ("write into the data directory", APART),
    "keys_at_import": ("read the key store while the app is imported", APART),
    "code": ("change the app's own files", APART),
    "gateway_signal": ("signal the gateway", APART),
    "gateway_memory": ("read the gateway's memory and environment", TO_ORDINARY),
    "gateway_trace": ("trace the gateway with ptrace", TO_ORDINARY),
    "gateway_socket": ("connect to the sockets between the gateway's processes", APART),
    "gateway_secrets": ("find a secret of the gateway in its own memory or environment", NEVER),
    "descriptors": ("find an open file or socket of the gateway", NEVER),
    "setuid": ("gain rights by a setuid program", NEVER),
    "root": ("have the rights of root", TO_ORDINARY),
    "root_at_import": ("have the rights of root while the app is imported", TO_ORDINARY),
    "user_at_import": ("become a user of another app while the app is imported", TO_ORDINARY),
    "stay": ("leave a process behind that hides", APART),
    "bomb": ("have more processes than `limits.processes`, for longer than a moment", NEVER),
    "machine_files": ("read other files of the machine that everybody may read", LOCKED_IN),
    "processes": ("see other processes", LOCKED_IN),
    "network": ("open a connection to this machine or to another one", LOCKED_IN),
}


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| What an app cannot do | " + " | ".join(column.title for column in COLUMNS) + " |"]
    lines.append("|---|" + "---|" * len(COLUMNS))
    for sentence, kept in PROMISES.values():
        lines.append(f"| {sentence} | " + " | ".join("refused" if each else "**can**" for each in kept) + " |")
    return "\n".join(lines) + "\n"
