"""Where the records of sessions are: the settings of `store`, and the forms of an address of Redis."""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from gateway.sources.checking import Contradiction
from gateway.sources.section import Section

EMBEDDED = "sqlite"

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

LONGEST_SOCKET_PATH = 107
"""Bytes (unix(7): sun_path, less its end)."""

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

EXAMPLES = (
    "redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or "
    "redis+cluster://HOST:PORT,HOST:PORT"
)


@dataclass(frozen=True)
class Address:
    """The parts of an address."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme.startswith("rediss")

    @property
    def shown(self) -> str:
        """The address as it may be shown to anybody."""
        user = f"{self.user}@" if self.user else ""
        if self.path:
            return f"unix://{user}{self.path}"
        hosts = ",".join(joined(host, port) for host, port in self.hosts)
        tail = "".join(f"/{part}" for part in (self.service, str(self.db) if self.db else "") if part)
        return f"{self.scheme}://{user}{hosts}{tail}"


def parsed(url: str) -> Address:
    """Return the parts of an address. Raises ValueError."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"must be {EXAMPLES}")
    credentials, _, place = rest.rpartition("@")
    if "/" in credentials or "@" in credentials:
        raise ValueError("has a user or a password that needs escapes: %2F for /, %40 for @, %3A for :")
    user, _, password = credentials.partition(":")
    known = Address(scheme, user=unquote(user), password=unquote(password))
    hosts, _, tail = place.partition("/")
    if scheme == "unix":
        return replace(known, path=_socket_path(hosts, tail))
    default = SENTINEL_PORT if scheme.endswith("sentinel") else DEFAULT_PORT
    addresses = tuple(_host_and_port(scheme, host, default) for host in hosts.split(","))
    parts = [unquote(part) for part in tail.split("/")] if tail else []
    service = ""
    if scheme.endswith("sentinel"):
        if not parts or not parts[0]:
            raise ValueError("must name the service: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE")
        service = parts.pop(0)
    elif len(addresses) > 1 and not scheme.endswith("cluster"):
        raise ValueError("has several hosts: redis+sentinel:// or redis+cluster:// have")
    if len(parts) > 1 or (parts and parts[0] and not parts[0].isdecimal()):
        raise ValueError("must end with the number of a database, or without one")
    db = int(parts[0]) if parts and parts[0] else 0
    if db and scheme.endswith("cluster"):
        raise ValueError("has a database: a cluster has only one")
    return replace(known, hosts=addresses, service=service, db=db)


def _socket_path(hosts: str, tail: str) -> str:
    path = unquote("/" + tail)
    if hosts or not tail:
        raise ValueError("must have the path of a socket: unix:///PATH")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(f"has too long a path: that of a socket has at most {LONGEST_SOCKET_PATH} bytes")
    return path


def _host_and_port(scheme: str, text: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"must be {EXAMPLES}") from None
    if not host:
        raise ValueError(f"must have a host: {scheme}://HOST:PORT")
    return host, port or default


def joined(host: str, port: int) -> str:
    """Return host and port as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class StoreSettings(Section):
    """Where the records of sessions are."""

    factory: str = Field(
        "",
        description="A store of your own: `MODULE:FUNCTION`, which is given `url` as it is, and returns it "
        "(docs/extending.md). Empty: `url` says which.",
    )
    url: str = Field(
        EMBEDDED,
        description="`sqlite`: in a file in the data directory. Or in Redis or Valkey, with the extra `redis`: "
        "`redis://HOST:PORT/DB`, with TLS `rediss://`, `unix:///PATH`, "
        "`redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB`, `redis+cluster://HOST:PORT,HOST:PORT`. An ACL user stands "
        "before the host: `redis://USER@HOST`.",
    )
    prefix: str = Field(
        "sgw",
        description="What the keys in Redis begin with, in braces. Gateways with different prefixes may share a Redis; "
        "two with one prefix may not.",
    )
    password: SecretStr = Field(
        SecretStr(""),
        description="Password for Redis. From the environment or a file: on a command line all can read it.",
    )
    password_file: Path | None = Field(
        None, description="File with the password for Redis, read again with each connection."
    )
    tls_ca: Path | None = Field(
        None, description="PEM file of the authorities of the Redis server, besides which none is trusted."
    )
    tls_cert: Path | None = Field(None, description="PEM file of the certificate that Redis is shown.")
    tls_key: Path | None = Field(None, description="PEM file of its private key.")

    @property
    def address(self) -> Address | None:
        """The address of Redis, None for any other store."""
        return None if self.factory or self.url == EMBEDDED else parsed(self.url)

    @property
    def embedded(self) -> bool:
        """Whether it is the file in the data directory."""
        return not self.factory and self.url == EMBEDDED

    @field_validator("factory")
    @classmethod
    def _module_and_function(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", value, re.ASCII):
            raise ValueError("must be MODULE:FUNCTION, such as our_stores.journal:store")
        return value

    @field_validator("url")
    @classmethod
    def _form(cls, value: str, info: ValidationInfo) -> str:
        if value != EMBEDDED and not info.data.get("factory"):
            try:
                parsed(value)
            except ValueError as error:
                raise ValueError(f"must be sqlite or an address of Redis: it {error}") from None
        return value

    @field_validator("prefix")
    @classmethod
    def _no_braces(cls, value: str) -> str:
        if not value or not value.isprintable() or set(value) & set("{} *?[]\\"):
            raise ValueError(
                "must be some letters and digits, such as sgw: braces, blanks and wildcards have a meaning"
            )
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        address = self.address
        given = self.model_fields_set - {"factory", "url"}
        if address is None:
            if given:
                name = min(given)
                which = "sqlite" if self.embedded else "that of store.factory, which knows only its url"
                raise Contradiction(f"{name} is given, and the store is {which}", f"store.{name}")
            return self
        places = ["password"] * bool(self.password.get_secret_value()) + ["password_file"] * (
            self.password_file is not None
        )
        if len(places) + bool(address.password) > 1:
            raise Contradiction("the password is given more than once", f"store.{places[0]}")
        if (self.tls_cert is None) != (self.tls_key is None):
            name, missing = ("tls_cert", "tls_key") if self.tls_key is None else ("tls_key", "tls_cert")
            raise Contradiction(f"{name} is given without {missing}", f"store.{name}")
        for name in ("tls_ca", "tls_cert"):
            if getattr(self, name) is not None and not address.tls:
                raise Contradiction(f"{name} is given, and the address is not one with TLS, rediss://", f"store.{name}")
        return self
