"""Why a gateway cannot be reached: what gRPC sums up as UNAVAILABLE, taken apart with a connection of its own."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from os import PathLike

from gateway.timing import DOCTOR_CONNECTION

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of HTTP/2 begins: the preface and empty SETTINGS (RFC 9113, section 3.4)."""

_MAX_PORT = 65535
_HEADER = 9
_SETTINGS = 4
_ALERT = b"\x15\x03"
"""How an alert of TLS begins, which a server of TLS sends to one who speaks something else."""

_NOT_YET, _OVER, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's numbers of errors (X509_V_ERR_...)."""


class Reach(StrEnum):
    """How far a connection comes."""

    OK = "reached"
    UNKNOWN_NAME = "unknown name"
    REFUSED = "refused"
    SILENT = "silent"
    OTHER_PROTOCOL = "other protocol"
    WANTS_TLS = "wants TLS"
    SPEAKS_NO_TLS = "speaks no TLS"
    NOT_TRUSTED = "not trusted"
    OTHER_NAME = "other name"
    OUT_OF_DATE = "out of date"
    WANTS_CERTIFICATE = "wants a certificate"
    CERTIFICATE_REFUSED = "certificate refused"
    NOT_TRIED = "not tried"


DO = {
    Reach.OK: "",
    Reach.UNKNOWN_NAME: "Check the address: --address, SGW_ADDRESS.",
    Reach.REFUSED: "Is the gateway running (sgw serve), and is this its address: --address, SGW_ADDRESS?",
    Reach.SILENT: "Is the address right, and does a firewall let the port through?",
    Reach.OTHER_PROTOCOL: "Check the address (--address, SGW_ADDRESS); a proxy in front must pass HTTP/2 on.",
    Reach.WANTS_TLS: "Encrypt: --tls-ca with the authority of the gateway's certificate (SGW_TLS_CA), or --tls for a "
    "public one.",
    Reach.SPEAKS_NO_TLS: "Leave --tls, --tls-ca, --tls-cert and --tls-key out (and SGW_TLS...; SGW_TLS=0 turns them "
    "off), or have the gateway serve TLS: --tls-cert, --tls-key.",
    Reach.NOT_TRUSTED: "Name the authority that has signed the gateway's certificate: --tls-ca, SGW_TLS_CA.",
    Reach.OTHER_NAME: "Use one of the certificate's names as the address, or have the certificate made for this one.",
    Reach.OUT_OF_DATE: "Have the gateway's certificate renewed, and check the clocks of both machines.",
    Reach.WANTS_CERTIFICATE: "Show a certificate: --tls-cert and --tls-key (SGW_TLS_CERT, SGW_TLS_KEY).",
    Reach.CERTIFICATE_REFUSED: "Show a certificate of the authorities in the gateway's server.client_ca, for clients, "
    "that has not expired: --tls-cert, --tls-key.",
    Reach.NOT_TRIED: "",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a connection."""

    reach: Reach
    message: str

    @property
    def do(self) -> str:
        """What to do about it; nothing if all is well."""
        return DO[self.reach]


@dataclass(frozen=True, slots=True)
class Files:
    """What a client encrypts with, as paths of PEM files. Without `ca` what this machine trusts is trusted."""

    ca: str | PathLike[str] | None = None
    cert: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None


def reach(address: str, tls: Files | None, patience: float = DOCTOR_CONNECTION) -> Outcome:
    """Connect as a client would, and return how far that came. `address` is HOST:PORT; others are not tried."""
    host, _, port = address.removeprefix("dns:").lstrip("/").rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port[:6]) > _MAX_PORT or address.startswith("unix"):
        return Outcome(Reach.NOT_TRIED, f"{address} is not HOST:PORT")
    try:
        return _plainly(host, int(port), patience) if tls is None else _encrypted(host, int(port), tls, patience)
    except socket.gaierror as error:
        return Outcome(Reach.UNKNOWN_NAME, f"there is no {host} ({error.strerror})")
    except ConnectionRefusedError:
        return Outcome(Reach.REFUSED, f"nothing listens at {address}")
    except TimeoutError:
        return Outcome(Reach.SILENT, f"no answer from {address} in {patience:g} s")
    except (OSError, OverflowError) as error:
        return Outcome(Reach.SILENT, f"no connection to {address}: {getattr(error, 'strerror', None) or error}")


def _plainly(host: str, port: int, patience: float) -> Outcome:
    with _connected(host, port, patience) as connection:
        answer = _answer(connection)
    if _is_settings(answer):
        return Outcome(Reach.OK, "the gateway answers, not encrypted")
    if answer.startswith(_ALERT) or (not answer and _speaks_tls(host, port, patience)):
        return Outcome(Reach.WANTS_TLS, "the gateway wants TLS")
    return Outcome(Reach.OTHER_PROTOCOL, "what listens there does not speak HTTP/2")


def _encrypted(host: str, port: int, tls: Files, patience: float) -> Outcome:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        context.set_alpn_protocols(["h2"])
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
        with (
            _connected(host, port, patience) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            # In TLS 1.3 the other side looks at our certificate when the handshake is over for us.
            answer = _answer(secure)
            if _is_settings(answer):
                return Outcome(Reach.OK, f"the gateway answers, encrypted with {secure.version()}")
            if not answer and secure.selected_alpn_protocol() == "h2":
                # gRPC's own server hangs up without an alert.
                return _unwelcome("it hung up after the handshake", tls)
            return Outcome(Reach.OTHER_PROTOCOL, "what listens there does not speak HTTP/2")
    except ssl.SSLCertVerificationError as error:
        return _verification(error)
    except (ssl.SSLError, ConnectionError) as error:
        if isinstance(error, ConnectionRefusedError):
            raise
        return _handshake(getattr(error, "reason", None) or "", host, port, tls, patience)


def _verification(error: ssl.SSLCertVerificationError) -> Outcome:
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return Outcome(Reach.OTHER_NAME, f"the gateway's certificate is for other names: {error.verify_message}")
    if error.verify_code in (_NOT_YET, _OVER):
        return Outcome(Reach.OUT_OF_DATE, f"the gateway's certificate: {error.verify_message}")
    return Outcome(Reach.NOT_TRUSTED, f"the gateway's certificate is not trusted: {error.verify_message}")


def _handshake(reason: str, host: str, port: int, tls: Files, patience: float) -> Outcome:
    if "ALERT" not in reason and not _speaks_tls(host, port, patience):
        plain = _plainly(host, port, patience)
        if plain.reach is Reach.OK:
            return Outcome(Reach.SPEAKS_NO_TLS, "the gateway does not serve TLS")
        return Outcome(Reach.OTHER_PROTOCOL, "what listens there speaks neither TLS nor HTTP/2")
    return _unwelcome(reason or "it hung up in the handshake", tls)


def _unwelcome(sign: str, tls: Files) -> Outcome:
    if tls.cert is None:
        return Outcome(Reach.WANTS_CERTIFICATE, f"the gateway wants to see a client's certificate ({sign})")
    return Outcome(Reach.CERTIFICATE_REFUSED, f"the gateway refuses this client's certificate ({sign})")


@contextlib.contextmanager
def _connected(host: str, port: int, patience: float) -> Iterator[socket.socket]:
    with socket.create_connection((host, port), timeout=patience) as connection:
        yield connection


def _answer(connection: socket.socket) -> bytes:
    """Begin to speak HTTP/2, and return how the other side begins; nothing if it hangs up."""
    try:
        connection.sendall(_PREFACE)
        received = b""
        while len(received) < _HEADER and (more := connection.recv(_HEADER - len(received))):
            received += more
    except ssl.SSLError:
        raise
    except ConnectionError:
        return b""
    return received


def _is_settings(answer: bytes) -> bool:
    return len(answer) == _HEADER and answer[3] == _SETTINGS


def _speaks_tls(host: str, port: int, patience: float) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            _connected(host, port, patience) as connection,
            context.wrap_socket(connection) as secure,
        ):
            return secure.version() is not None
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
