"""Whether a gateway may listen where its settings say, and whom it lets in: what others can reach must be guarded, or
asked for.
"""

import ipaddress

from gateway.auth.credentials import Credentials
from gateway.auth.keyfile import KeyFile
from gateway.auth.keyring import Demand, Keyring
from gateway.config import ServerSettings, Settings


def objection(settings: ServerSettings) -> str | None:
    """Return why the address may not be listened on, with the ways out; None when it may."""
    if settings.insecure or not _is_reachable(settings):
        return None
    ways_out = "or listen on 127.0.0.1, or say --insecure if something in front of the gateway encrypts and checks"
    if settings.tls_cert is None:
        return (
            f"{settings.listen} can be reached from other machines, and nothing would be encrypted: give --tls-cert "
            f"and --tls-key (and --client-ca to say who may connect), {ways_out}"
        )
    if settings.auth == "open" and settings.client_ca is None:
        return (
            f"{settings.listen} can be reached from other machines, and anybody there could run every app: give "
            f"--auth keys or --client-ca, {ways_out}"
        )
    return None


def credentials_of(settings: Settings) -> Credentials | None:
    """Return what callers need, or will need once there are API keys; None if they never do.

    Raises KeysUnusable, Unusable and TokensUnusable.
    """
    server = settings.server
    if server.auth == "open":
        return None
    guarded = server.insecure or server.client_ca is not None or not _is_reachable(server)
    demand = Demand.ALWAYS if server.auth == "keys" or not guarded else Demand.ONCE_THERE_ARE_KEYS
    return Credentials(Keyring(KeyFile(settings.data_dir), demand), settings.auth)


def _is_reachable(settings: ServerSettings) -> bool:
    host, _, _ = settings.listen.rpartition(":")
    return not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
