"""Which pool of workers a gateway has, by its settings. With `gateway.main` the only place that names one."""

import importlib.util
import ssl
from pathlib import Path

from gateway.clock import Clock
from gateway.config import Settings
from gateway.data_directory import CannotStart, token_key
from gateway.handshake import derived
from gateway.sessions.pages import KEY_BYTES
from gateway.share import Owning
from gateway.workers.local import LocalPool
from gateway.workers.place import Place
from gateway.workers.ray.pool import RayPool
from gateway.workers.scheduled import ScheduledPool


def worker_pool(
    settings: Settings, directory: Path, clock: Clock, place: Place, owning: Owning | None = None
) -> ScheduledPool:
    """Return the pool of the settings, which is yet to be started. `directory` is for workers of this machine; with
    several gateways, `owning` says by their ids whose the workers are.

    Raises CannotStart.
    """
    if settings.workers.pool == "local":
        return LocalPool(settings.workers, directory, clock, place)
    # Looked for and not loaded: only its driver and the machines of the cluster load it.
    if importlib.util.find_spec("ray") is None:
        raise CannotStart('workers.pool is ray, and Ray is not installed: pip install "session-gateway[ray]"')
    secret = token_key(settings.data_dir, KEY_BYTES)
    owner = derived(secret, "owner of workers").hex()[:32]
    try:
        return RayPool(settings.workers, settings.ray, directory, clock, secret=secret, owner=owner, owning=owning)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"the files of ray.tls_cert, tls_key and tls_ca cannot be used: {error}") from None
