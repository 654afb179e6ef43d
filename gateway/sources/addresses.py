"""Addresses of the form HOST:PORT, as settings have them."""

MAX_PORT = 65535


def is_host_and_port(text: str) -> bool:
    """Whether it has a host and a port. Nobody is asked whether there is such a host."""
    host, colon, port = text.rpartition(":")
    # A slash: unix:/PATH:1 and http://HOST:1 end like an address.
    whole = bool(colon and host) and "/" not in host and host.startswith("[") == host.endswith("]")
    return whole and port.isascii() and port.isdecimal() and int(port) <= MAX_PORT
