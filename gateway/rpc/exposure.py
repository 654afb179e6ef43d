"""Whom a gateway lets in, by its settings."""

from gateway.auth.credentials import Credentials
from gateway.auth.keyfile import KeyFile
from gateway.auth.keyring import Demand, Keyring
from gateway.config import Settings
from gateway.reachable import is_reachable


def credentials_of(settings: Settings) -> Credentials | None:
    """Return what callers need, or will need once there are API keys; None if they never do.

    Raises KeysUnusable, Unusable and TokensUnusable.
    """
    server = settings.server
    if server.auth == "open":
        return None
    guarded = server.insecure or server.client_ca is not None or not is_reachable(server)
    demand = Demand.ALWAYS if server.auth == "keys" or not guarded else Demand.ONCE_THERE_ARE_KEYS
    return Credentials(Keyring(KeyFile(settings.data_dir), demand), settings.auth)
