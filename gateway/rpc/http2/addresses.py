"""Who is at the other end of a connection."""

import asyncio


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """Return the address of the peer, in gRPC's notation."""
    name = None if transport is None else transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unknown"
    host, port = name[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
