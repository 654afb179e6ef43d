"""Sockets that listen, and that several processes have."""

import socket


def is_listening(bound: socket.socket) -> bool:
    """Whether connections that come for a socket wait to be accepted."""
    return bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0


def stop_listening(bound: socket.socket) -> None:
    """Stop it for all processes that have the socket. It stays bound, and may listen again."""
    # A second time would have every connection shut that it ever accepts after it listens again.
    if is_listening(bound):
        bound.shutdown(socket.SHUT_RDWR)
