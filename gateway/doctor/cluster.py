"""The other gateways on the same store: who is there, and whether they can be reached."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from typing import Any

from gateway.config import Settings
from gateway.doctor.finding import Finding, failed, ok, skipped, warning
from gateway.reachable import is_loopback
from gateway.timing import DOCTOR_CONNECTION

_CHECK = "gateways"


async def cluster(settings: Settings) -> AsyncIterator[Finding]:
    """Yield how it stands with the gateways on the prefix. Nothing is written there."""
    if not settings.cluster.listen:
        return
    missing = [path for path in _files(settings) if not path.is_file()]
    for path in missing:
        yield failed(_CHECK, f"{path} is not there", "Correct [cluster], or make it.")
    if settings.cluster.tls_cert is None and not _stays_here(settings):
        do = "Set cluster.tls_cert, tls_key and tls_ca, or keep everybody else off that network."
        yield warning(_CHECK, f"what they say to each other at {settings.cluster.listen} is not encrypted", do)
    try:
        found = await _members(settings)
    except (ImportError, OSError):
        yield skipped(_CHECK, "the store does not answer")
        return
    if not found:
        yield ok(_CHECK, f"no gateway is on the prefix {settings.store.prefix} now")
    for address, who, left in found:
        if left < 0:
            do = "Others take over its sessions, if there are any. Start it again, or find out why it is silent."
            yield warning(_CHECK, f"one was last heard of too long ago: {who}", do)
        elif address and not await _reached(address):
            do = "It must be reachable by the others at cluster.advertise, or cluster.listen: look at the network."
            yield failed(_CHECK, f"no connection to the one at {address}: {who}", do)
        else:
            yield ok(_CHECK, f"one is at {address or 'no address, and about to come back'}: {who}")


def _stays_here(settings: Settings) -> bool:
    return is_loopback(settings.cluster.listen.rpartition(":")[0])


def _files(settings: Settings) -> list[Any]:
    names = ("tls_cert", "tls_key", "tls_ca")
    return [path for name in names if (path := getattr(settings.cluster, name)) is not None]


async def _members(settings: Settings) -> list[tuple[str, str, float]]:
    """Return of each member its address, what it is called, and for how many milliseconds more it counts as alive.

    Raises ImportError, OSError.
    """
    servers = importlib.import_module("gateway.stores.redis_server")
    checks = importlib.import_module("gateway.stores.redis_checks")
    prefix = f"{{{settings.store.prefix}}}:"
    try:
        connection = await servers.RedisServer(settings.store).connect()
        try:
            seconds, micros = await connection.send("TIME")
            now = int(seconds) * 1000 + int(micros) / 1000
            entries = await connection.send("ZRANGE", f"{prefix}members", 0, -1, "WITHSCORES")
            found = []
            for name, until in entries:
                address, who = await connection.send("HMGET", f"{prefix}m:{name.decode()}", "address", "who")
                found.append(((address or b"").decode(), (who or b"").decode(), float(until) - now))
            return found
        finally:
            await connection.close()
    except checks.TROUBLE as error:
        raise OSError(str(error)) from error


async def _reached(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(DOCTOR_CONNECTION):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return False
    writer.close()
    return True
