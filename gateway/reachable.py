"""Whether a gateway may listen where its settings say: what others can reach must be guarded, or asked for."""

import ipaddress

from gateway.config import ServerSettings


def objection(settings: ServerSettings) -> str | None:
    """Return why the address may not be listened on, with the ways out; None when it may."""
    if settings.insecure or not is_reachable(settings):
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


def is_reachable(settings: ServerSettings) -> bool:
    """Whether others than this machine can reach the address."""
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
