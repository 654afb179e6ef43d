"""Files of certificates that change while a gateway runs."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sessiongateway import TLS, Inference, UnavailableError
from tests.process.observe import eventually
from tests.scenarios.witness import STEADY
from tests.tls.authority import Authority, Pair, replace
from tests.tls.served import PATIENCE, TRANSPORTS, Files, check_serves, gateway, shown_serial


class Caller:
    """Calls one session over one connection, one call after another, until it is stopped."""

    def __init__(self, address: str, tls: TLS) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self._client = Inference(address=address, tls=tls, timeout=PATIENCE)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and assert that every call was answered by the session in its turn."""
        self._over.set()
        self._thread.join(2 * PATIENCE)
        self._client.close()
        assert self.error is None
        assert self.calls > 0

    def _call(self) -> None:
        session = self._client.session(STEADY)
        try:
            while not self._over.is_set():
                self.calls += 1
                assert session.call({}).output["calls"] == self.calls
            session.end()
        except Exception as error:  # noqa: BLE001  # told by the thread that waits
            self.error = error


def shows(address: str, tls: TLS, pair: Pair, times: int = 1) -> Callable[[], bool]:
    """Return a condition: new connections get this certificate, several of them in a row."""
    return lambda: all(shown_serial(address, tls) == pair.serial for _ in range(times))


@pytest.mark.parametrize(("transport", "processes"), [*((name, 1) for name in ("nghttp2", "grpcio")), ("nghttp2", 2)])
async def test_new_certificates_are_used_for_new_connections_while_calls_over_old_ones_go_on(
    tmp_path: Path, transport: str, processes: int
) -> None:
    files = Files.made(tmp_path)
    flags = [*files.serve_known_clients, "--processes", str(processes)]
    with gateway(tmp_path / "data", transport, flags) as process:
        caller = Caller(process.address, files.known)
        try:
            for _ in range(3):
                pair = files.authority.server()
                replace(files.certificate, pair.certificate)
                # Half of the pair is old: nobody is to notice.
                check_serves(process.address, files.known)
                replace(files.key, pair.key)
                await eventually("the new one is shown", shows(process.address, files.known, pair, 8 * processes - 7))
                check_serves(process.address, files.known)
        finally:
            caller.stop()
        assert "new connections get the certificate that is now in" in process.log


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_files_that_cannot_be_used_are_logged_once_and_the_old_ones_stay(tmp_path: Path, transport: str) -> None:
    files = Files.made(tmp_path)
    before = shown = Pair(files.certificate.read_bytes(), files.key.read_bytes())
    with gateway(tmp_path / "data", transport, files.serve) as process:
        replace(files.certificate, b"-----BEGIN CERTIFICATE-----\nAAAA")
        await eventually("it is logged", lambda: f"{files.certificate}: no certificate in PEM form" in process.log)
        assert shown_serial(process.address, files.unknown) == shown.serial
        files.certificate.unlink()
        await eventually("it is logged", lambda: f"{files.certificate}: No such file" in process.log)
        replace(files.certificate, before.certificate)
        replace(files.key, files.authority.server().key)
        await eventually("it is logged", lambda: f"{files.key} is not the key of" in process.log)
        assert shown_serial(process.address, files.unknown) == shown.serial
        fresh = files.authority.server()
        fresh.in_files(tmp_path, "server")
        await eventually("what is whole again is used", shows(process.address, files.unknown, fresh))
        check_serves(process.address, files.unknown)
        for said in ("no certificate in PEM form", "No such file", "is not the key of"):
            assert process.log.count(said) == 1
        assert "PRIVATE KEY" not in process.log


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_another_authority_of_clients_counts_from_then_on_for_new_connections(
    tmp_path: Path, transport: str
) -> None:
    files, others = Files.made(tmp_path), Authority()
    trusted = files.ca.rename(tmp_path / "trusted.pem")
    clients = replace(tmp_path / "clients.pem", files.authority.pem)
    old = TLS(trusted, files.client_certificate, files.client_key)
    new = TLS(trusted, *others.client().in_files(tmp_path, "other"))
    with (
        gateway(tmp_path / "data", transport, [*files.serve, "--client-ca", str(clients)]) as process,
        Inference(address=process.address, tls=old, timeout=PATIENCE) as connected,
    ):
        session = connected.session(STEADY)
        session.call({})
        assert not is_served(process.address, new)
        replace(clients, others.pem)
        await eventually("the new authority counts", lambda: is_served(process.address, new))
        assert not is_served(process.address, old)
        assert session.call({}).output["calls"] == 2
        session.end()


def is_served(address: str, tls: TLS) -> bool:
    """Return whether a new connection is answered."""
    try:
        check_serves(address, tls)
    except UnavailableError:
        return False
    return True
