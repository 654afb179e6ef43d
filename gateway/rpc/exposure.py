"""Whether a gateway may listen where its settings say: what others can reach must be guarded, or asked for."""

import ipaddress

from gateway.config import ServerSettings


def objection(settings: ServerSettings) -> str | None:
    """Return why the address may not be listened on, with the ways out; None when it may."""
    host, _, _ = settings.listen.rpartition(":")
    if settings.insecure or settings.tls_cert is not None or is_loopback(host):
        return None
    return (
        f"{settings.listen} can be reached from other machines, and nothing would be encrypted: give --tls-cert and "
        "--tls-key (and --client-ca to say who may connect), or listen on 127.0.0.1, or say --insecure if something in "
        "front of the gateway encrypts and checks"
    )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
