"""Making and revoking keys as `sgw key` does, without its command line, and waiting for what a gateway does then."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.auth.keyfile import KeyFile
from gateway.auth.keys import Key, Scope, new_key
from sessiongateway.v1 import apps_pb2
from tests.scenarios.client import DEADLINE, CallFailed, Client
from tests.scenarios.failures import check

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SCOPES = [Scope.EXECUTE]


def issue(data_dir: Path, name: str, *scopes: Scope, lasts: timedelta | None = None) -> tuple[Key, str]:
    """Add a key to a data directory. Returns what is kept of it, and the key."""
    now = datetime.now(UTC)
    key, shown = new_key(name, scopes or SCOPES, now, None if lasts is None else now + lasts)
    with KeyFile(data_dir).changing() as keys:
        keys[key.id] = key
    return key, shown


def revoke(data_dir: Path, key: Key) -> None:
    """Revoke a key."""
    with KeyFile(data_dir).changing() as keys:
        keys[key.id] = key.model_copy(update={"revoked_at": datetime.now(UTC)})


def shown_by(client: Client) -> str:
    """Return the key that a client shows."""
    return dict(client.metadata)["authorization"].removeprefix("Bearer ")


async def known(client: Client) -> None:
    """Wait until the process at the other end of a client's connection lets it in."""
    async with asyncio.timeout(DEADLINE):
        while not await _is_let_in(client):
            pass


async def gone(client: Client) -> None:
    """Wait until the process at the other end of a client's connection turns it away."""
    async with asyncio.timeout(DEADLINE):
        while await _is_let_in(client):
            pass


async def _is_let_in(client: Client) -> bool:
    try:
        await client.unary(client.apps.ListApps, apps_pb2.ListAppsRequest())
    except CallFailed as error:
        check(error, "UNAUTHENTICATED", "")
        return False
    return True
