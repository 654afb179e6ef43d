"""The certificate with which a caller has connected, from whatever transport it came by."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.auth.certificates import Shown, shown
from gateway.rpc import x509

_REMEMBERED = 1024


class PeerCertificates:
    """Reads each certificate once: through nghttp2 for each connection, through grpcio for each certificate."""

    def __init__(self) -> None:
        self._known: dict[bytes, Shown | None] = {}

    def of(self, context: Any) -> Shown | None:
        """Return what counts of the caller's certificate, None for none."""
        try:
            found: Shown | None = context.peer_certificate
        except AttributeError:
            return self._of_grpcio(context.auth_context())
        return found

    def _of_grpcio(self, properties: Mapping[str, Sequence[bytes]]) -> Shown | None:
        # grpcio tells of a connection only by way of its calls. Its own lists of names are cut off at a NUL.
        pem = b"".join(properties.get("x509_pem_cert", ()))
        if not pem:
            return None
        if pem not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[pem] = _read(x509.of_pem, pem)
        return self._known[pem]


def of_ssl(connection: ssl.SSLObject | None) -> Shown | None:
    """Return what counts of the certificate that the peer of a connection has shown."""
    if connection is None or connection.context.verify_mode is ssl.CERT_NONE:
        return None  # what nobody has verified
    der = connection.getpeercert(binary_form=True)
    return _read(x509.of_der, der) if der else None


def _read(read: Callable[[bytes], x509.Certificate], data: bytes) -> Shown | None:
    try:
        found = read(data)
    except ValueError:
        return None  # what cannot be read is nobody's
    # Of several common names nothing says which is the holder's.
    only = found.common_names[0] if len(found.common_names) == 1 else None
    return shown(found.uris, found.dns_names, only, found.until)
