"""How one connects to the Redis that has the records, wherever its address leads."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gateway.store_settings import StoreSettings, joined
from gateway.stores.redis_connection import Connection, connected
from gateway.stores.redis_errors import NoReply, ReplyError


class RedisServer:
    """The server that can write now."""

    def __init__(self, settings: StoreSettings) -> None:
        """`settings` have an address."""
        address = settings.address
        assert address is not None
        self.name = address.shown
        self._address, self._settings = address, settings

    async def connect(self) -> Connection:
        """See `gateway.stores.redis_link.Server`. Of several hosts the first that answers knows where it is."""
        address = self._address
        if address.path:
            return await connected(self.name, path=address.path, hello=self._hello())
        if address.service:
            return await self._by_any(self._by_sentinel)
        if address.scheme.endswith("cluster"):
            return await self._by_any(self._in_cluster)
        ((host, port),) = address.hosts
        return await self._to(host, port)

    async def _to(self, host: str, port: int) -> Connection:
        return await connected(joined(host, port), host=host, port=port, tls=self._tls(), hello=self._hello())

    async def _by_any(self, way: Callable[[str, int], Awaitable[Connection]]) -> Connection:
        trouble: Exception = NoReply("no host")
        for host, port in self._address.hosts:
            try:
                return await way(host, port)
            except (NoReply, ReplyError) as error:
                trouble = error
        raise trouble

    async def _by_sentinel(self, host: str, port: int) -> Connection:
        # A sentinel has users and passwords of its own, most often none; what it tells is no secret.
        sentinel = await connected(joined(host, port), host=host, port=port, tls=self._tls())
        try:
            found = await sentinel.send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.service)
        finally:
            await sentinel.close()
        if not found:
            raise NoReply(f"{sentinel.place} knows no service {self._address.service}")
        connection = await self._to(found[0].decode(), int(found[1]))
        try:
            role = await connection.send("ROLE")
            if role[0] != b"master":
                raise NoReply(f"{connection.place} is a {role[0].decode()}: a failover is going on")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _in_cluster(self, host: str, port: int) -> Connection:
        node = await self._to(host, port)
        try:
            slot = await node.send("CLUSTER", "KEYSLOT", f"{{{self._settings.prefix}}}:")
            slots = await node.send("CLUSTER", "SLOTS")
        finally:
            await node.close()
        masters = [each[2] for each in slots if each[0] <= slot <= each[1]]
        if not masters:
            raise NoReply(f"{node.place} knows no node for the slot of the records")
        # A node that does not know its own address says an empty one, or none: it is where it was reached.
        return await self._to(masters[0][0].decode() if masters[0][0] else host, masters[0][1])

    def _hello(self) -> Sequence[Sequence[str]]:
        hello = ["HELLO", "3"]
        password = self._password()
        if password or self._address.user:
            hello += ["AUTH", self._address.user or "default", password]
        return (hello, ("SELECT", str(self._address.db))) if self._address.db else (hello,)

    def _password(self) -> str:
        path = self._settings.password_file
        if path is None:
            return self._settings.password.get_secret_value() or self._address.password
        return _read(path)

    def _tls(self) -> ssl.SSLContext | None:
        if not self._address.tls:
            return None
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.tls_ca)
            if settings.tls_cert is not None:
                context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except OSError as error:  # which ssl.SSLError is one of
            files = ", ".join(str(path) for path in (settings.tls_ca, settings.tls_cert, settings.tls_key) if path)
            raise NoReply(f"cannot use {files or 'the certificates of this machine'}: {error}") from error
        return context


def _read(path: Path) -> str:
    try:
        return path.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NoReply(f"cannot read the password of Redis from {path}: {error}") from error
