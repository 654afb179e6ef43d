"""Which store a gateway has, by its settings. With `gateway.main` the only place that names one."""

import hashlib
import importlib
import os
import socket

from gateway.clock import Clock, SystemClock
from gateway.config import Settings
from gateway.data_directory import CannotStart, token_key
from gateway.sessions.pages import KEY_BYTES
from gateway.shards import Shards
from gateway.stores.base import SessionStore
from gateway.stores.sqlite import SqliteStore


def session_store(settings: Settings, clock: Clock, *, shared: bool, shards: Shards | None = None) -> SessionStore:
    """Return the store of the settings, which is yet to be opened. `shared`: by several processes of the gateway. With
    `shards` this is one of several gateways on the store, and is told there who has what.

    Raises CannotStart.
    """
    if settings.store.factory:
        return _own_store(settings, clock)
    if settings.store.address is None:
        return SqliteStore(settings.data_dir / "sessions.db", shared=shared)
    try:
        # Only where it is asked for: the parser is an extra.
        redis = importlib.import_module("gateway.stores.redis")
        claims = importlib.import_module("gateway.stores.redis_claims")
    except ImportError as error:
        raise CannotStart(
            f'store.url is set, and hiredis is not installed ({error}): pip install "session-gateway[redis]"'
        ) from None
    who = f"process {os.getpid()} on {socket.gethostname()}, data directory {settings.data_dir}"
    if shards is None:
        claim = claims.Claim(holder_name(settings), who)
    else:
        agreed = f"sessions.retention = {settings.sessions.retention:g}"
        claim = claims.Membership(shards, who, agreed, settings.cluster.takeover)
    store: SessionStore = redis.redis_store(
        settings.store,
        clock,
        retention=settings.sessions.retention,
        # Time that is not the machine's has nothing to do with a server's.
        by_server_time=isinstance(clock, SystemClock),
        claim=claim,
    )
    return store


def _own_store(settings: Settings, clock: Clock) -> SessionStore:
    """Return what the function of `store.factory` gives. Raises CannotStart."""
    name = settings.store.factory
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)(
            settings.store.url, clock, settings.sessions.retention
        )
    except Exception as error:
        raise CannotStart(f"store.factory {name} gives no store: {type(error).__name__}: {error}") from error
    if not isinstance(found, SessionStore):
        raise CannotStart(f"store.factory {name} gives no store: {type(found).__name__} is no SessionStore")
    return found


def holder_name(settings: Settings) -> str:
    """Return what this data directory's gateway is known by: one that follows another need not wait for its claim.

    Raises CannotStart.
    """
    key = token_key(settings.data_dir, KEY_BYTES)
    return hashlib.sha256(b"claim to a store\0" + key).hexdigest()[:32]
