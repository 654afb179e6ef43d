"""The certificates that the gateway serves with, and whether it may listen where it is to."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config import ServerSettings
from gateway.doctor.finding import Finding, failed, ok, skipped, warning
from gateway.reachable import objection
from gateway.rpc.certificates import Certificates, CertificateUnusable, certificates_of

_SOON = 21 * 24 * 3600.0
"""Seconds. Authorities that renew by themselves do it a month before the end: here something has gone wrong."""

_INVALID = {
    9: ("it is not valid yet", "Check this machine's clock, or wait."),
    10: ("it has expired", "Put a new one in its place; it is taken without a restart."),
}
"""By OpenSSL's number of the error (X509_V_ERR_...): what it means, and what to do."""


_REPLACE = "Put the right file there; a running gateway goes on with the one from before."


def listening(server: ServerSettings) -> Finding:
    """Whether the address needs TLS, and has it."""
    problem = objection(server)
    if problem is None:
        return ok("address", f"{server.listen} may be listened on")
    what, _, ways = problem.partition(": ")
    return failed("address", what, f"{ways[:1].upper()}{ways[1:]}.")


def certificates(server: ServerSettings, now: float | None = None) -> Iterator[Finding]:
    """Whether the files are there and belong together, and the certificate is good for a while yet."""
    check = "certificate"
    if server.tls_cert is None or server.tls_key is None:
        yield skipped(check, "no server.tls_cert")
        return
    try:
        # Without the authorities of clients: the handshake below is one with a client that shows nothing.
        loaded = Certificates(server.tls_cert, server.tls_key)
    except CertificateUnusable as error:
        yield failed(check, str(error), _REPLACE)
        return
    yield _validity(server.tls_cert, loaded, time.time() if now is None else now)
    if server.tls_key.stat().st_mode & 0o077:
        yield warning("private key", f"others may read {server.tls_key}", f"chmod 600 {server.tls_key}")
    if server.client_ca is not None:
        yield _client_authority(server, server.client_ca)


def _client_authority(server: ServerSettings, path: Path) -> Finding:
    check = "client authority"
    try:
        certificates_of(server)
    except CertificateUnusable as error:
        return failed(check, str(error), _REPLACE)
    return ok(check, f"clients need a certificate of an authority in {path}")


def _validity(path: Path, loaded: Certificates, now: float) -> Finding:
    check = "certificate"
    try:
        shown = _shown(loaded)
    except ssl.SSLCertVerificationError as error:
        why, do = _INVALID.get(error.verify_code, (error.verify_message, "Have a certificate for a server made."))
        return failed(check, f"{path} cannot be used: {why}", do)
    except ssl.SSLError as error:
        do = "Have a certificate made with a usual key: RSA, P-256 or P-384."
        return failed(check, f"{path} cannot be used: {error.reason}", do)
    left = ssl.cert_time_to_seconds(str(shown["notAfter"])) - now
    names = [str(name) for _, name in shown.get("subjectAltName", ())]
    text = f"{path}, of {', '.join(names) or 'nobody'}, valid for {left / 86400:.0f} days more"
    if not names:
        return warning(check, text, "Clients compare its alternative names with the address: have some put in.")
    if left < _SOON:
        return warning(check, text, "Renew it, and see why that was not done yet.")
    return ok(check, text)


def _shown(loaded: Certificates) -> dict[str, Any]:
    """Return what a client sees that trusts this certificate alone. Raises ssl.SSLError."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    text = loaded.pem.certificate.decode("ascii", "ignore")
    end = "-----END CERTIFICATE-----"
    client.load_verify_locations(cadata=text.partition(end)[0] + end)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_side=False)
    theirs = loaded.context.wrap_bio(there, back, server_side=True)
    for side in (ours, theirs, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(ours.getpeercert() or {})
