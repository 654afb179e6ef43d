"""The certificate, key and client authority that the gateway serves with, read again when their files change."""

import asyncio
import contextlib
import logging
import os
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gateway.config import ServerSettings
from gateway.timing import CERTIFICATE_POLL

logger = logging.getLogger("gateway.rpc")

_MAX_FILE = 4 * 1024 * 1024
"""Bytes. A bundle of every public authority has a quarter of a megabyte."""

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2. HTTP/2 forbids nearly all others (RFC 9113, appendix A)."""

_MISMATCHES = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})
_OF_THE_CERTIFICATE = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "UNKNOWN_CERTIFICATE_TYPE"})


class CertificateUnusable(Exception):
    """A file that TLS cannot be served with. The text names it and says why."""


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
        self._failures = 0
        self._told = ""
        pem = self._read()
        self._loaded = _Loaded(pem, self._context(pem))

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
                self._loaded = _Loaded(pem, self._context(pem))
                logger.info("new connections get the certificate that is now in %s", self._certificate)
        except CertificateUnusable as error:
            self._failures += 1
            # Not at the first look: who replaces two files is seen between them now and then.
            if self._failures > 1 and str(error) != self._told:
                self._told = str(error)
                logger.error("%s; new connections get the certificate from before", error)  # noqa: TRY400  # no fault of ours
        else:
            self._failures, self._told = 0, ""

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
                elif reason in _OF_THE_CERTIFICATE:
                    text = f"{self._certificate}: the certificate cannot be used ({reason})"
                else:
                    text = f"{self._key}: no private key in PEM form that can be used"
                raise CertificateUnusable(text) from None

    def _encrypted(self) -> str:
        raise CertificateUnusable(f"{self._key}: the key is encrypted, and there is nobody to ask for its password")


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
