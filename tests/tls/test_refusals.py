"""What is told of handshakes that end, to whoever runs the gateway."""

import contextlib
import logging
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.rpc.refusals import Reason, Refusals, reason_of
from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import until
from sessiongateway import TLS
from tests.process.observe import eventually
from tests.process.scraping import scraped, scraped_when
from tests.rpc.conftest import needs_nghttp2
from tests.tls.authority import Authority
from tests.tls.served import Files, check_serves, context_of, gateway, is_closed, plain_socket

Fault = Callable[[GatewayProcess, Files], None]


def shake_hands(gateway: GatewayProcess, context: ssl.SSLContext) -> None:
    """Try a handshake, and read until the gateway closes."""
    with (
        plain_socket(gateway.address) as connected,
        contextlib.suppress(OSError),
        context.wrap_socket(connected, server_hostname="localhost") as secure,
    ):
        is_closed(secure, 20)


def without_certificate(gateway: GatewayProcess, files: Files) -> None:
    shake_hands(gateway, context_of(files.unknown))


def of_another_authority(gateway: GatewayProcess, files: Files) -> None:
    stranger = Authority().client().in_files(files.folder, "stranger")
    shake_hands(gateway, context_of(TLS(files.ca, *stranger)))


def without_trust(gateway: GatewayProcess, files: Files) -> None:
    ca = Authority().in_file(files.folder, "other")
    shake_hands(gateway, context_of(TLS(ca, files.client_certificate, files.client_key)))


def without_tls(gateway: GatewayProcess, files: Files) -> None:
    with plain_socket(gateway.address) as connected:
        connected.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert is_closed(connected, 20)


def without_http2(gateway: GatewayProcess, files: Files) -> None:
    shake_hands(gateway, context_of(files.known, alpn=()))


def with_old_ciphers(gateway: GatewayProcess, files: Files) -> None:
    context = context_of(files.known)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    shake_hands(gateway, context)


FAULTS: dict[Reason, tuple[Fault, str]] = {
    Reason.NO_CERTIFICATE: (without_certificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    Reason.BAD_CERTIFICATE: (of_another_authority, "CERTIFICATE_VERIFY_FAILED"),
    Reason.REFUSED_BY_CLIENT: (without_trust, "ALERT"),
    Reason.NO_TLS: (without_tls, "HTTP_REQUEST"),
    Reason.NO_HTTP2: (without_http2, "does not offer h2"),
    Reason.NOTHING_IN_COMMON: (with_old_ciphers, "NO_SHARED_CIPHER"),
}


@needs_nghttp2
@pytest.mark.parametrize("reason", FAULTS)
async def test_a_handshake_that_is_refused_is_logged_with_peer_and_reason_and_counted(
    tmp_path: Path, reason: Reason
) -> None:
    fault, why = FAULTS[reason]
    files = Files.made(tmp_path)
    flags = [*files.serve_known_clients, "--metrics-address", ":0"]
    with gateway(tmp_path / "data", "nghttp2", flags) as process:
        name = "sgw_tls_handshakes_refused_total"
        page = await scraped(process)
        assert page.labels(name, "reason") == {each.value for each in Reason}
        assert page.total(name) == 0
        fault(process, files)
        page = await scraped_when(process, lambda page: page.total(name))
        assert page.total(name, reason=reason.value) == page.total(name) == 1
        line = rf"INFO .*refused a TLS handshake with ipv4:127\.0\.0\.1:\d+: .*{why}"
        await eventually("the log says so", lambda: re.search(line, process.log))
        check_serves(process.address, files.known)


def test_what_openssl_says_is_one_of_a_few_reasons() -> None:
    assert reason_of("TLSV1_ALERT_UNKNOWN_CA") == reason_of("SSLV3_ALERT_BAD_CERTIFICATE") == Reason.REFUSED_BY_CLIENT
    assert reason_of("UNSUPPORTED_PROTOCOL") == Reason.NOTHING_IN_COMMON
    assert reason_of("what comes in a later release") == reason_of("") == Reason.OTHER


async def test_many_refusals_are_one_line_a_second_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refusals = Refusals()
    for number in range(1000):
        refusals.add(Reason.NO_TLS, f"peer {number}", "why")
    assert refusals.counts[Reason.NO_TLS] == 1000
    assert [record.message for record in caplog.records] == ["refused a TLS handshake with peer 0: why"]
    await until(lambda: len(caplog.records) > 1)
    assert caplog.records[1].message == (
        "refused a TLS handshake with peer 999: why, and 998 more of this kind since the last such line"
    )


async def test_many_refusals_of_one_kind_do_not_hide_another(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refusals = Refusals()
    for _ in range(1000):
        refusals.add(Reason.NO_TLS, "scanner", "no TLS")
    refusals.add(Reason.BAD_CERTIFICATE, "victim", "expired")
    assert [record.message for record in caplog.records] == [
        "refused a TLS handshake with scanner: no TLS",
        "refused a TLS handshake with victim: expired",
    ]
    await until(lambda: len(caplog.records) > 2)
    assert caplog.records[2].message.endswith("no TLS, and 998 more of this kind since the last such line")
