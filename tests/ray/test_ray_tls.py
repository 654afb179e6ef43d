"""Gateways and workers on Ray that show each other certificates."""

import asyncio
import socket
from pathlib import Path

from gateway.model import AppVersion
from gateway.testing.pool_adopting import OUTLIVE, record_of
from gateway.testing.pool_harness import PoolFixtures, lease
from gateway.testing.waiting import DEADLINE
from gateway.workers.ray.pool import RayPool
from tests.ray.conftest import StartRayPool
from tests.tls.authority import Authority

_ALERT = 21
"""How a record of TLS begins that says what is wrong."""


def files(folder: Path, authority: Authority) -> dict[str, Path]:
    """Write what an authority has signed for a gateway, and return the settings of `ray` that name it."""
    folder.mkdir()
    certificate, key = authority.peer().in_files(folder, "peer")
    return {"tls_cert": certificate, "tls_key": key, "tls_ca": authority.in_file(folder, "ca")}


class TestTls(PoolFixtures):
    async def test_calls_go_through_it_and_whoever_has_no_certificate_of_the_authority_stays_out(
        self, start_pool: StartRayPool, app: AppVersion, tmp_path: Path
    ) -> None:
        known = files(tmp_path / "known", Authority())
        pool = start_pool.made(tls=known)
        await pool.start()
        leased = await lease(pool, app, outlive=OUTLIVE)
        assert (await leased.call(text="x" * 300_000))["calls"] == 1
        address = await _door_of(pool, leased.worker.id)
        assert (await asyncio.to_thread(_said_in_plain, address)) in (b"", bytes([_ALERT]))

        # With the same secret, but a certificate of another authority, and without any.
        for settings in (files(tmp_path / "unknown", Authority()), None):
            stranger = start_pool.made("another", tls=settings)
            await stranger.start()
            assert await stranger.adopt([record_of(leased)]) == {}
        assert (await leased.call())["calls"] == 2

        again = start_pool.made("another", tls=known)
        await again.start()
        assert list(await again.adopt([record_of(leased)])) == [leased.session_id]


async def _door_of(pool: RayPool, worker_id: str) -> tuple[str, int]:
    host, port = (await pool._link.ask({"do": "find", "id": worker_id, "session": "", "epoch": 0}))["address"]
    return host, port


def _said_in_plain(address: tuple[str, int]) -> bytes:
    """Return the beginning of what is answered to one who does not speak TLS."""
    with socket.create_connection(address, DEADLINE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            return sock.recv(1)
        except ConnectionResetError:
            return b""
