"""How well a Redis keeps what it is given: asked of the server itself, at the start and by `sgw doctor`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.stores.redis_connection import Connection
from gateway.stores.redis_errors import NoReply, ReplyError

OLDEST = (6, 2)
"""Of Redis: what the scripts need has been there since. Valkey began with 7.2."""

TROUBLE = (NoReply, ReplyError)
"""How a question to a server fails."""


@dataclass(frozen=True)
class Server:
    """What a server says of itself. Empty is what it does not say."""

    version: str
    maxmemory: int
    policy: str
    append_only: bool
    fsync: str

    @property
    def unusable(self) -> str:
        """Why no gateway can have its records there, "" if it can."""
        if tuple(int(number) for number in re.findall(r"\d+", self.version)[:2]) < OLDEST:
            return f"Redis {self.version} is too old: it must be {OLDEST[0]}.{OLDEST[1]} or newer, or Valkey"
        if self.maxmemory and self.policy.startswith("allkeys"):
            return (
                f"its maxmemory-policy is {self.policy}: it would throw live sessions away when memory is short; set "
                "noeviction"
            )
        return ""

    @property
    def weaknesses(self) -> list[tuple[str, str]]:
        """By what it might lose records, each with what to set."""
        found = []
        if self.policy and self.policy != "noeviction":
            what = f"its maxmemory-policy is {self.policy}, by which it throws away what it has"
            found.append((what, "set maxmemory-policy noeviction"))
        if not self.append_only:
            found.append(("it does not write down every change", "set appendonly yes"))
        elif self.fsync == "no":
            what = "its appendfsync is no, so that a crash of its machine loses many seconds"
            found.append((what, "set appendfsync everysec, or always"))
        return found


async def asked(connection: Connection) -> Server:
    """Return what the server says of itself. Raises NoReply, ReplyError."""
    said: dict[str, str] = {}
    for section in ("server", "memory", "persistence"):
        reply = await connection.send("INFO", section)
        said |= _lines(reply.decode())
    try:
        fsync = (await connection.send("CONFIG", "GET", "appendfsync")).get(b"appendfsync", b"").decode()
    except ReplyError:
        fsync = ""  # who may not ask has to trust
    return Server(
        said.get("redis_version", ""),
        int(said.get("maxmemory", "0")),
        said.get("maxmemory_policy", ""),
        said.get("aof_enabled") == "1",
        fsync,
    )


def _lines(text: str) -> Mapping[str, str]:
    return {name: value for name, colon, value in (line.partition(":") for line in text.splitlines()) if colon}
