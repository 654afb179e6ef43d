"""Encryption of the connection to a gateway."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import grpc

_OFF = frozenset({"", "0", "false", "no", "off"})
_ON = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class TLS:
    """How the connection is encrypted; each field is the path of a PEM file.

    `ca` holds the authorities of gateways that are trusted; without it, those that gRPC brings along. `cert` and `key`
    are what the client shows of itself, for gateways that ask for it.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a certificate without a key, or a key without a certificate."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("TLS needs cert and key, or neither of them")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Return what SGW_TLS_CA, SGW_TLS_CERT and SGW_TLS_KEY name, which SGW_TLS may turn on or off.

        None without any of them, and when SGW_TLS is off.

        Raises:
            ValueError: SGW_TLS is neither on nor off, or there is a certificate without a key.
        """
        wanted = environment.get("SGW_TLS", "").lower()
        ca, cert, key = (environment.get(f"SGW_TLS_{name}") or None for name in ("CA", "CERT", "KEY"))
        if wanted not in _OFF | _ON:
            raise ValueError(f"SGW_TLS must be 1 or 0, not {wanted!r}")
        if wanted in _ON or ("SGW_TLS" not in environment and (ca or cert or key)):
            return cls(ca, cert, key)
        return None

    def credentials(self) -> grpc.ChannelCredentials:
        """Return them for gRPC, from what the files hold now.

        Raises:
            ValueError: A file cannot be read, or does not hold what it should; the text names it.
        """
        self._check()
        ca, key, cert = (None if path is None else Path(path).read_bytes() for path in (self.ca, self.key, self.cert))
        return grpc.ssl_channel_credentials(ca, key, cert)

    def _check(self) -> None:
        # gRPC would take anything, and only never connect.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in (self.ca, self.cert):
            if path is not None:
                problem = f"{path}: no certificate in PEM form, or one that is damaged"
                _try(path, problem, partial(context.load_verify_locations, path))
        if self.cert is not None and self.key is not None:
            cert, key = self.cert, self.key
            problem = f"{key}: no private key in PEM form, or not that of {cert}"
            _try(key, problem, partial(context.load_cert_chain, cert, key, password=self._encrypted))

    def _encrypted(self) -> str:
        raise ValueError(f"{self.key}: the key is encrypted")


def _try(path: str | os.PathLike[str], problem: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise ValueError(problem) from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error


def chosen(tls: TLS | None, credentials: grpc.ChannelCredentials | None) -> grpc.ChannelCredentials | None:
    """Return the credentials of a client that was given these, else those of the environment; None for plain text.

    Raises:
        ValueError: Both are given, or TLS cannot be had as it is described.
    """
    if credentials is not None:
        if tls is not None:
            raise ValueError("give tls or credentials, not both")
        return credentials
    described = tls or TLS.from_environment()
    return None if described is None else described.credentials()
