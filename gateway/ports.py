"""The addresses of a gateway of several processes: its supervisor holds them, and every process has its sockets.

A socket on which a process listens is also that of the supervisor and of the other processes. So what waits in the
queue of one that does not answer, or has died, can be accepted by another.
"""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from gateway.config import Settings
from gateway.data_directory import CannotStart
from gateway.listening import stop_listening

_METRICS_BACKLOG = 100


class Ports:
    """What is taken of the machine's ports."""

    def __init__(self, address: str, sockets: Sequence[Sequence[socket.socket]]) -> None:
        self.address = address
        """HOST:PORT of the gateway."""
        self.sockets = sockets
        """Of each process, on that address, to share among them. Each process listens on its own."""
        self.metrics_address = ""
        """That of the metrics, empty for none."""
        self.metrics: Sequence[socket.socket] = ()
        """On which all processes accept: whichever answers is as good as any other."""

    def refuse(self, index: int) -> None:
        """Have the system deal no more connections to a process until it listens again. Those that wait are reset."""
        for bound in self.sockets[index]:
            stop_listening(bound)


@contextmanager
def reserved(settings: Settings) -> Iterator[Ports]:
    """Take the addresses of the settings for the processes of this gateway, and for no other. Raises CannotStart."""
    with ExitStack() as stack:
        with _explained(settings.server.listen, "listen"):
            ports = _ports(settings.server.listen, settings.processes, stack)
        if settings.metrics.address:
            with _explained(settings.metrics.address, "metrics-address"):
                ports.metrics_address, ports.metrics = _listening(settings.metrics.address, stack)
        yield ports


def _ports(listen: str, count: int, stack: ExitStack) -> Ports:
    host, found = _found(listen)
    family, where = found[0]
    # Bound like any server, which fails beside another one's; only then open to those who share it.
    guard = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    guard.bind(where)
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port = guard.getsockname()[1]
    sockets = [_bound(found, port, socket.SO_REUSEPORT, stack) for _ in range(count)]
    return Ports(f"{host}:{port}", sockets)


def _listening(address: str, stack: ExitStack) -> tuple[str, Sequence[socket.socket]]:
    host, found = _found(address)
    sockets = _bound(found, 0, socket.SO_REUSEADDR, stack)
    for bound in sockets:
        bound.listen(_METRICS_BACKLOG)
    return f"{host}:{sockets[0].getsockname()[1]}", sockets


def _found(address: str) -> tuple[str, list[tuple[int, Any]]]:
    host, _, port = address.rpartition(":")
    infos = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return host, sorted({(int(family), where) for family, _, _, _, where in infos}, key=lambda each: each[0])


def _bound(found: Sequence[tuple[int, Any]], port: int, option: int, stack: ExitStack) -> list[socket.socket]:
    """Bind to all addresses of a name, on one port; 0 is the one that they have or, for 0, any free one."""
    sockets: list[socket.socket] = []
    for family, where in found:
        try:
            bound = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT and len(found) > 1:
                continue
            raise
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((where[0], port or where[1], *where[2:]))
        port = bound.getsockname()[1]
        sockets.append(bound)
    return sockets


@contextmanager
def _explained(listen: str, flag: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise CannotStart(
            f"cannot listen on {listen}: the port is taken (by another gateway?), or the address is not one of "
            f"this machine; --{flag} HOST:0 takes any free port"
        ) from None
