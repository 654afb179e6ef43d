"""Which store a gateway has, by its settings. With `gateway.main` the only place that names one."""

import hashlib
import importlib
import os
import socket

from gateway.clock import Clock, SystemClock
from gateway.config import Settings
from gateway.data_directory import CannotStart, token_key
from gateway.sessions.pages import KEY_BYTES
from gateway.stores.base import SessionStore
from gateway.stores.sqlite import SqliteStore


def session_store(settings: Settings, clock: Clock, *, shared: bool) -> SessionStore:
    """Return the store of the settings, which is yet to be opened. `shared`: by several processes of the gateway.

    Raises CannotStart.
    """
    if settings.store.address is None:
        return SqliteStore(settings.data_dir / "sessions.db", shared=shared)
    try:
        # Only where it is asked for: the parser is an extra.
        redis = importlib.import_module("gateway.stores.redis")
    except ImportError as error:
        raise CannotStart(
            f'store.url is set, and hiredis is not installed ({error}): pip install "session-gateway[redis]"'
        ) from None
    store: SessionStore = redis.redis_store(
        settings.store,
        clock,
        retention=settings.sessions.retention,
        # Time that is not the machine's has nothing to do with a server's.
        by_server_time=isinstance(clock, SystemClock),
        holder=_holder(settings),
        who=f"process {os.getpid()} on {socket.gethostname()}, data directory {settings.data_dir}",
    )
    return store


def _holder(settings: Settings) -> str:
    """Return what this data directory's gateway is known by: one that follows another need not wait for its claim."""
    key = token_key(settings.data_dir, KEY_BYTES)
    return hashlib.sha256(b"claim to a store\0" + key).hexdigest()[:32]
