"""The store, where it is a Redis: whether it answers, and what it may lose."""

import importlib
from collections.abc import AsyncIterator

from gateway.doctor.finding import Finding, failed, ok, warning
from gateway.store_settings import StoreSettings

_CHECK = "store"


async def redis(settings: StoreSettings) -> AsyncIterator[Finding]:
    """Yield what a Redis says of itself. Nothing is written there."""
    try:
        # It needs hiredis, which not every gateway has.
        servers = importlib.import_module("gateway.stores.redis_server")
        checks = importlib.import_module("gateway.stores.redis_checks")
    except ImportError:
        yield failed(_CHECK, "hiredis is not installed", 'Install it: pip install "session-gateway[redis]"')
        return
    server = servers.RedisServer(settings)
    try:
        connection = await server.connect()
        try:
            found = await checks.asked(connection)
        finally:
            await connection.close()
    except checks.TROUBLE as error:
        yield failed(_CHECK, f"{server.name} cannot be used: {error}", "Start it, or correct [store].")
        return
    if found.unusable:
        yield failed(_CHECK, f"{server.name} cannot be used", f"{found.unusable.capitalize()}.")
        return
    for what, do in found.weaknesses:
        yield warning(_CHECK, f"{server.name} may lose sessions: {what}", f"{do.capitalize()}.")
    if not found.weaknesses:
        yield ok(_CHECK, f"{server.name} answers, version {found.version}, and keeps what it has")
