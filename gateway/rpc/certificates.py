"""The certificate, key and client authority that the gateway serves with, read again when their files change."""

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import re
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gateway.config import ServerSettings
from gateway.timing import CERTIFICATE_POLL, CERTIFICATE_SETTLE

logger = logging.getLogger("gateway.rpc")

_MAX_FILE = 4 * 1024 * 1024
"""Bytes. A bundle of every public authority has a quarter of a megabyte."""

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2. HTTP/2 forbids nearly all others (RFC 9113, appendix A)."""

_MISMATCHES = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})
_OF_THE_CERTIFICATE = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "UNKNOWN_CERTIFICATE_TYPE"})

_LOOKS = 2
"""After so many looks a problem is told: at the first one a file may just be being written."""

_LOOKS_AT_A_PAIR = int(CERTIFICATE_SETTLE / CERTIFICATE_POLL)
"""The same, for files that do not fit together."""

_PRIVATE_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----(.*?)-----END PRIVATE KEY-----", re.DOTALL)
_UNCOMMON_KEYS = {b"\x06\x03\x2b\x65\x70": "Ed25519", b"\x06\x03\x2b\x65\x71": "Ed448"}
"""By their identifiers (RFC 8410, section 3), as PKCS #8 has them."""

_ALGORITHM = 16
"""Bytes at the beginning of a key in PKCS #8, in which its algorithm is named."""


class CertificateUnusable(Exception):
    """A file that TLS cannot be served with. The text names it and says why."""


class PairMismatch(CertificateUnusable):
    """The key is not that of the certificate, as for a moment when both are replaced."""


@dataclass(frozen=True)
class Pem:
    """What the files hold, which fits together. `client_ca` is None when clients need no certificate."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


@dataclass(frozen=True)
class _Loaded:
    pem: Pem
    context: ssl.SSLContext


class Certificates:
    """The certificates of `server.tls_cert`, `server.tls_key` and `server.client_ca`.

    `pem` and `context` are always of one and the same reading, in which the key belonged to the certificate. Files
    that cannot be used change nothing.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files. Raises CertificateUnusable."""
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._problem = ""
        self._looks = 0
        pem = self._read()
        self._loaded = _Loaded(pem, self._context(pem))
        self._warn_of_key(pem)

    @property
    def pem(self) -> Pem:
        """What new connections are to be made with."""
        return self._loaded.pem

    @property
    def context(self) -> ssl.SSLContext:
        """The same, for the ssl module: TLS 1.2 or newer, and HTTP/2."""
        return self._loaded.context

    async def watch(self) -> NoReturn:
        """Take up what changes in the files, until cancelled. What cannot be used is logged, once."""
        while True:
            await asyncio.sleep(CERTIFICATE_POLL)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Read the files, and use them from now on if they have changed and can be used."""
        try:
            pem = self._read()
            if pem != self._loaded.pem:
                before, self._loaded = self._loaded.pem, _Loaded(pem, self._context(pem))
                self._tell_change(before, pem)
        except CertificateUnusable as error:
            self._tell_problem(error)
        else:
            self._problem, self._looks = "", 0

    def _tell_change(self, before: Pem, pem: Pem) -> None:
        if pem.certificate != before.certificate:
            logger.info("new connections get the certificate that is now in %s", self._certificate)
        elif pem.key != before.key:
            logger.info("new connections use the key that is now in %s", self._key)
        if pem.client_ca != before.client_ca:
            logger.info("clients that connect from now on need a certificate of an authority in %s", self._client_ca)
        if pem.key != before.key:
            self._warn_of_key(pem)

    def _tell_problem(self, error: CertificateUnusable) -> None:
        if str(error) != self._problem:
            self._problem, self._looks = str(error), 0
        self._looks += 1
        text = f"{error}; new connections are served as before"
        if isinstance(error, PairMismatch):
            if self._looks == _LOOKS_AT_A_PAIR:
                logger.warning(text)
        elif self._looks == _LOOKS:
            logger.error(text)

    def _warn_of_key(self, pem: Pem) -> None:
        kind = uncommon_key(pem.key)
        if kind is not None:
            logger.warning(
                "%s: many clients cannot use a key of type %s, gRPC's own among them; ECDSA P-256 is what all can",
                self._key,
                kind,
            )

    def _read(self) -> Pem:
        client_ca = None if self._client_ca is None else _content(self._client_ca)
        return Pem(_content(self._certificate), _content(self._key), client_ca)

    def _context(self, pem: Pem) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["h2"])
        # HTTP/2 forbids renegotiation. A ticket would vouch for a client whose certificate has expired since.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        _check_certificates(self._certificate, pem.certificate)
        self._load_pair(context, pem)
        if self._client_ca is not None and pem.client_ca is not None:
            _check_certificates(self._client_ca, pem.client_ca)
            with _path_of(pem.client_ca) as path:
                context.load_verify_locations(path)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _load_pair(self, context: ssl.SSLContext, pem: Pem) -> None:
        # From what was read, not from the files: those may be others by now.
        with _path_of(pem.certificate) as certificate, _path_of(pem.key) as key:
            try:
                context.load_cert_chain(certificate, key, password=self._encrypted)
            except ssl.SSLError as error:
                reason = error.reason or ""
                if reason in _MISMATCHES:
                    text = f"{self._key} is not the key of the certificate in {self._certificate}"
                    raise PairMismatch(text) from None
                if reason in _OF_THE_CERTIFICATE:
                    text = f"{self._certificate}: the certificate cannot be used ({reason})"
                else:
                    text = f"{self._key}: no private key in PEM form that can be used"
                raise CertificateUnusable(text) from None

    def _encrypted(self) -> str:
        raise CertificateUnusable(f"{self._key}: the key is encrypted, and there is nobody to ask for its password")


def uncommon_key(pem: bytes) -> str | None:
    """Return the name of a private key's type, if it is one that few clients know."""
    found = _PRIVATE_KEY.search(pem)
    try:
        head = base64.b64decode(found[1])[:_ALGORITHM] if found else b""
    except binascii.Error:
        return None
    return next((name for mark, name in _UNCOMMON_KEYS.items() if mark in head), None)


def certificates_of(settings: ServerSettings) -> Certificates | None:
    """Return the certificates of the settings, None for no TLS. Raises CertificateUnusable."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_cert, settings.tls_key, settings.client_ca)


def _check_certificates(path: Path, content: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise CertificateUnusable(f"{path}: no certificate in PEM form, or one that is damaged") from None


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CertificateUnusable(f"{path}: not a regular file")
            content = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise CertificateUnusable(f"{path}: {error.strerror}") from None
    if len(content) > _MAX_FILE:
        raise CertificateUnusable(f"{path}: more than {_MAX_FILE} bytes")
    return content


def _at_once(path: str, flags: int) -> int:
    # Opening a named pipe would wait for somebody to write to it.
    return os.open(path, flags | os.O_NONBLOCK)


@contextlib.contextmanager
def _path_of(content: bytes) -> Iterator[str]:
    """Yield a path for a library that reads files only. The content stays in memory."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
