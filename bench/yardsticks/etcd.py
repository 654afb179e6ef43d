"""etcd, whose leases are kept alive on a stream as sessions are. Its messages are few and written by hand here."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from bench.figure import LeftOut
from bench.load import Slot

LEASE_KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
_GRANT = "/etcdserverpb.Lease/LeaseGrant"
_TTL = 3600
_START = 20.0
"""Seconds in which it must answer."""


@contextmanager
def etcd() -> Iterator[str]:
    """Run one etcd on loopback, alone, with its defaults. Yields the address. Raises LeftOut where there is none."""
    program = shutil.which("etcd")
    if program is None:
        raise LeftOut("there is no etcd on PATH; on Debian: apt-get install etcd-server")
    with tempfile.TemporaryDirectory(prefix="sgw-bench-etcd-") as directory:
        address, peer = _free_address(), _free_address()
        process = subprocess.Popen(
            [
                *(program, "--data-dir", directory, "--log-level", "error"),
                *("--listen-client-urls", f"http://{address}", "--advertise-client-urls", f"http://{address}"),
                *("--listen-peer-urls", f"http://{peer}", "--initial-advertise-peer-urls", f"http://{peer}"),
                *("--initial-cluster", f"default=http://{peer}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def lease_slots(address: str, count: int) -> list[Slot]:
    """Grant leases and return what keeps each alive, with what only the answer about a living lease has in it."""
    slots = []
    with grpc.insecure_channel(address) as channel:
        grant: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_GRANT)
        until = time.monotonic() + _START
        for number in range(1, count + 1):
            request = field(1, _TTL) + field(2, number)
            grant(request, timeout=until - time.monotonic(), wait_for_ready=True)
            # LeaseKeepAliveResponse: ID = 2, TTL = 3, which is left out when the lease is gone.
            slots.append(Slot(field(1, number), field(2, number) + field(3, _TTL)))
    return slots


def field(number: int, value: int) -> bytes:
    """Return a field of a protobuf message that holds a positive whole number."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """Return a whole number as protobuf writes it: 7 bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
