"""Ports for gateways that are to be found at the same address when they are started again."""

import random
import socket

from tools.fleet.missing import Missing

_PORTS = range(20_000, 30_000)
"""Below those from which the system takes the ends of connections: a port stays free while its gateway is away."""

_TRIES = 100


def free_port() -> int:
    """Return a port on which nobody listens, and which the system gives to nobody meanwhile. Raises Missing."""
    # Not of the generator that chaos seeds: two runs with one seed would want the same.
    for port in random.SystemRandom().sample(_PORTS, _TRIES):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # whoever has it at any address has it
            except OSError:
                continue
            return port
    raise Missing("no port of 20000 to 29999 is free")
