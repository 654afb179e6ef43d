"""Where a worker is reached from other machines: a TCP listener, and the proof that whoever comes in has its key."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Self

from gateway.handshake import HELLO_BYTES, PROOF_BYTES, Handshake, NotProven
from gateway.timing import ACCEPT_PAUSE, DOOR_PATIENCE, PEER_PROBE, PEER_SILENCE
from gateway.worker.loop import WorkerLoop

_ALL = HELLO_BYTES + PROOF_BYTES
"""Bytes that whoever dials sends until it has proven itself. No more is read here: the rest is for who comes after."""

_AT_ONCE = 16
"""Connections that may be yet to prove themselves. With more of them the oldest is closed: anybody can connect."""

_LONGEST = 4096
"""More than the key and the purpose of a door."""


def bound(host: str) -> socket.socket:
    """Return a listener on a free port of that address. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.bind(address)
        listener.listen(_AT_ONCE)
    except BaseException:
        listener.close()
        raise
    return listener


def notice_the_lost(sock: socket.socket) -> None:
    """Have a TCP connection break when the other machine is gone without a word, and send what is written at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PEER_PROBE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PEER_PROBE)
    # With the user timeout set it decides, and not the number of probes (tcp(7)); also for what was sent and is not
    # acknowledged.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PEER_SILENCE // PEER_PROBE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_SILENCE * 1000)


class Door:
    """The door of one worker."""

    def __init__(self, listener: socket.socket, key: bytes, purpose: bytes) -> None:
        self._listener = listener
        self._key = key
        self._purpose = purpose
        self._visitors: list[_Visitor] = []

    def handed_over(self) -> str:
        """Return what `taken` makes this door of in a program that this process is about to become."""
        # Not among its arguments, which everybody on the machine can read.
        secret = os.memfd_create("door", 0)
        os.write(secret, bytes((len(self._key),)) + self._key + self._purpose)
        os.set_inheritable(self._listener.fileno(), True)
        return f"{self._listener.fileno()}:{secret}"

    @classmethod
    def taken(cls, text: str) -> Self | None:
        """Return the door that was handed over; None if there is none."""
        if not text:
            return None
        listener, secret = map(int, text.split(":"))
        content = os.pread(secret, _LONGEST, 0)
        os.close(secret)
        os.set_inheritable(listener, False)
        return cls(socket.socket(fileno=listener), content[1 : 1 + content[0]], content[1 + content[0] :])

    def open(self, loop: WorkerLoop, welcome: Callable[[socket.socket], object]) -> None:
        """Let in whoever proves to know the key: `welcome` gets the connection, which does not block."""
        self._listener.setblocking(False)
        self._listen(loop, welcome)

    def close(self, loop: WorkerLoop) -> None:
        """Let nobody in any more."""
        loop.unwatch(self._listener.fileno())
        self._listener.close()
        for visitor in list(self._visitors):
            visitor.leave()

    def _listen(self, loop: WorkerLoop, welcome: Callable[[socket.socket], object]) -> None:
        if self._listener.fileno() >= 0:
            loop.watch(self._listener.fileno(), partial(self._accept, loop, welcome))

    def _accept(self, loop: WorkerLoop, welcome: Callable[[socket.socket], object]) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # who wanted to connect is gone
        except OSError as error:
            # The app may have used up the descriptors, and give some of them back.
            print(f"cannot accept a gateway: {error}", file=sys.stderr)
            loop.unwatch(self._listener.fileno())
            loop.call_later(ACCEPT_PAUSE, self._listen, loop, welcome)
            return
        sock.setblocking(False)
        if len(self._visitors) >= _AT_ONCE:
            self._visitors[0].leave()
        handshake = Handshake(self._key, self._purpose, dialling=False)
        self._visitors.append(_Visitor(sock, loop, handshake, self._visitors, welcome))


class _Visitor:
    """A connection that is yet to prove itself."""

    def __init__(
        self,
        sock: socket.socket,
        loop: WorkerLoop,
        handshake: Handshake,
        visitors: "list[_Visitor]",
        welcome: Callable[[socket.socket], object],
    ) -> None:
        self._socket = sock
        self._loop = loop
        self._handshake = handshake
        self._visitors = visitors
        self._welcome = welcome
        self._missing = _ALL
        self._timer: asyncio.TimerHandle = loop.call_later(DOOR_PATIENCE, self.leave)
        loop.watch(sock.fileno(), self._readable)

    def leave(self) -> None:
        """Close the connection."""
        self._let_go()
        self._socket.close()

    def _let_go(self) -> None:
        self._timer.cancel()
        self._loop.unwatch(self._socket.fileno())
        self._visitors.remove(self)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(self._missing)
            if not data:
                self.leave()
                return
            self._missing -= len(data)
            answer = self._handshake.receive(data)
            if answer:
                self._socket.send(answer)  # the first that is sent here: there is room for it
            if self._handshake.proven:
                notice_the_lost(self._socket)
                self._let_go()
                self._welcome(self._socket)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, NotProven):
            self.leave()
