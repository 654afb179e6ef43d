"""Ways to a Redis: users, passwords, TLS, sentinels and clusters, each against real ones."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.clock import SystemClock
from gateway.store_settings import StoreSettings
from gateway.stores.base import StoreUnusable
from gateway.stores.guarded import GuardedStore
from gateway.stores.redis import RedisStore
from gateway.stores.redis_connection import Connection, connected
from gateway.stores.redis_errors import ReplyError
from gateway.stores.redis_server import RedisServer
from gateway.testing.redis_server import RedisProcess
from gateway.testing.store_harness import added, at
from gateway.testing.waiting import DEADLINE, until
from tests.tls.authority import Authority


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


async def proved(settings: StoreSettings) -> None:
    """Have a store of these settings keep a session."""
    store = RedisStore(RedisServer(settings), SystemClock(), prefix=settings.prefix)
    await store.open()
    try:
        session = await added(store)
        assert await store.get(session.id) == session
    finally:
        await store.close()


async def refused(settings: StoreSettings) -> str:
    """Return why a store of these settings cannot be opened."""
    store = RedisStore(RedisServer(settings), SystemClock(), prefix=settings.prefix)
    with pytest.raises(StoreUnusable) as caught:
        await store.open()
    return str(caught.value)


class TestUsers:
    @pytest.fixture
    async def redis(self, short_path: Path) -> AsyncIterator[RedisProcess]:
        rights = "~{mine}:* +@all -@admin -@dangerous +info on >secret%"
        with RedisProcess(short_path, ("--requirepass", "for all"), port=free_ports(1)[0]) as redis:
            raw = await RedisServer(StoreSettings(url=redis.url, password=SecretStr("for all"))).connect()
            await raw.send("ACL", "SETUSER", "sgw", *rights.split())
            await raw.close()
            yield redis

    async def test_the_password_comes_from_the_address_a_setting_or_a_file(
        self, redis: RedisProcess, tmp_path: Path
    ) -> None:
        host = f"127.0.0.1:{redis.port}"
        (tmp_path / "password").write_text("for all\n")
        await proved(StoreSettings(url=f"redis://:for%20all@{host}/1"))
        await proved(StoreSettings(url=f"redis://{host}", password=SecretStr("for all")))
        await proved(StoreSettings(url=f"unix://{redis.socket}", password_file=tmp_path / "password"))

    async def test_a_user_needs_no_more_than_its_own_keys(self, redis: RedisProcess) -> None:
        host = f"127.0.0.1:{redis.port}"
        await proved(StoreSettings(url=f"redis://sgw:secret%25@{host}", prefix="mine"))
        assert "NOPERM" in await refused(
            StoreSettings(url=f"redis://sgw@{host}", password=SecretStr("secret%"), prefix="other")
        )

    async def test_who_is_refused_is_told_why_without_the_password(self, redis: RedisProcess) -> None:
        host = f"127.0.0.1:{redis.port}"
        why = await refused(StoreSettings(url=f"redis://sgw:wrong-one@{host}/2"))
        assert f"redis://sgw@{host}/2" in why
        assert "WRONGPASS" in why
        assert "wrong-one" not in why
        assert "NOAUTH" in await refused(StoreSettings(url=f"redis://{host}"))
        assert "cannot read the password" in await refused(
            StoreSettings(url=f"redis://{host}", password_file=Path("/nowhere"))
        )


class TestEncryption:
    @pytest.fixture
    def authority(self) -> Authority:
        return Authority()

    @pytest.fixture
    def files(self, authority: Authority, tmp_path: Path) -> dict[str, Path]:
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        (tmp_path / "other.pem").write_bytes(Authority().pem)
        server, client = (
            authority.server().in_files(tmp_path, "server"),
            authority.client().in_files(tmp_path, "client"),
        )
        return {
            "ca": tmp_path / "ca.pem",
            "other": tmp_path / "other.pem",
            "cert": server[0],
            "key": server[1],
            "client_cert": client[0],
            "client_key": client[1],
        }

    async def test_both_sides_show_certificates(self, short_path: Path, files: dict[str, Path]) -> None:
        (port,) = free_ports(1)
        tls = ("--tls-port", str(port), "--tls-cert-file", str(files["cert"]), "--tls-key-file", str(files["key"]))
        with RedisProcess(short_path, (*tls, "--tls-ca-cert-file", str(files["ca"]))):
            url = f"rediss://127.0.0.1:{port}"
            shown = StoreSettings(url=url, tls_cert=files["client_cert"], tls_key=files["client_key"])
            await proved(shown.model_copy(update={"tls_ca": files["ca"]}))
            assert "certificate verify failed" in await refused(shown.model_copy(update={"tls_ca": files["other"]}))
            await refused(StoreSettings(url=url, tls_ca=files["ca"]))
            await refused(StoreSettings(url=url.replace("rediss", "redis")))
            assert "nowhere" in await refused(StoreSettings(url=url, tls_ca=Path("/nowhere")))


class TestSentinels:
    async def test_the_store_goes_on_with_the_replica_that_a_failover_makes_the_master(self, short_path: Path) -> None:
        first_port, second_port, *sentinel_ports = free_ports(5)
        with ExitStack() as stack:

            def started(name: str, port: int, *settings: str) -> RedisProcess:
                folder = short_path / name
                folder.mkdir()
                return stack.enter_context(RedisProcess(folder, settings, port=port))

            master = started("master", first_port, "--repl-diskless-sync-delay", "0")
            replica = started("replica", second_port, "--replicaof", "127.0.0.1", str(first_port))
            for port in sentinel_ports:
                config = short_path / f"{port}.conf"
                config.write_text(
                    f"sentinel monitor records 127.0.0.1 {first_port} 2\n"
                    "sentinel down-after-milliseconds records 300\n"
                    "sentinel failover-timeout records 5000\n"
                )
                folder = short_path / str(port)
                folder.mkdir()
                stack.enter_context(RedisProcess(folder, ("--sentinel",), port=port, config=config))
            hosts = ",".join(f"127.0.0.1:{port}" for port in (1, *sentinel_ports))
            settings = StoreSettings(url=f"redis+sentinel://{hosts}/records")
            store = GuardedStore(
                RedisStore(RedisServer(settings), SystemClock(), prefix=settings.prefix), SystemClock()
            )
            await store.open()
            session = await added(store)
            raw = await RedisServer(StoreSettings(url=replica.url)).connect()
            await _until_true(_connected_replica, raw)
            one = await RedisServer(StoreSettings(url=master.url)).connect()
            assert await one.send("WAIT", 1, 0) == 1
            for port in sentinel_ports:
                sentinel = await connected("", host="127.0.0.1", port=port)
                await _until_true(_has_quorum, sentinel)
                await sentinel.close()
            master.kill()
            with pytest.raises(Exception):  # noqa: B017, PT011  # that it cannot be reached
                await store.renew(session.id, at(1))
            await until(lambda: store.available)
            assert await store.get(session.id) == session
            new = await RedisServer(StoreSettings(url=replica.url)).connect()
            assert (await new.send("ROLE"))[0] == b"master"
            for connection in (raw, one, new):
                await connection.close()
            await store.close()


async def _until_true(condition: Callable[[Connection], Awaitable[bool]], connection: Connection) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await condition(connection):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)


async def _connected_replica(connection: Connection) -> bool:
    return bool((await connection.send("ROLE"))[3] == b"connected")


async def _has_quorum(connection: Connection) -> bool:
    try:
        await connection.send("SENTINEL", "CKQUORUM", "records")
    except ReplyError:
        return False
    replicas = await connection.send("SENTINEL", "REPLICAS", "records")
    return bool(replicas) and len(await connection.send("SENTINEL", "SENTINELS", "records")) == 2


async def _is_whole(connection: Connection) -> bool:
    said = await connection.send("CLUSTER", "INFO")
    slots = await connection.send("CLUSTER", "SLOTS")
    return b"cluster_state:ok" in said and sum(last - first + 1 for first, last, *_ in slots) == 16384


class TestClusters:
    @pytest.fixture
    async def nodes(self, short_path: Path) -> AsyncIterator[list[RedisProcess]]:
        ports = free_ports(6)
        with ExitStack() as stack:
            nodes = []
            for port, bus in zip(ports[:3], ports[3:], strict=True):
                folder = short_path / str(port)
                folder.mkdir()
                cluster = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000")
                nodes.append(stack.enter_context(RedisProcess(folder, cluster, port=port)))
            addresses = [f"127.0.0.1:{node.port}" for node in nodes]
            command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False, timeout=40
            )
            assert done.returncode == 0, done.stdout + done.stderr
            for node in nodes:
                raw = await RedisServer(StoreSettings(url=node.url)).connect()
                await _until_true(_is_whole, raw)
                await raw.close()
            yield nodes

    async def test_the_records_are_on_the_node_of_their_slot_and_are_followed_when_it_moves(
        self, nodes: list[RedisProcess]
    ) -> None:
        for prefix in ("a", "b", "c", "d"):
            await proved(StoreSettings(url=f"redis+cluster://127.0.0.1:1,127.0.0.1:{nodes[0].port}", prefix=prefix))
        settings = StoreSettings(url=f"redis+cluster://127.0.0.1:{nodes[0].port}", prefix="moving")
        store = GuardedStore(RedisStore(RedisServer(settings), SystemClock(), prefix=settings.prefix), SystemClock())
        await store.open()
        session = await added(store)
        await _move(nodes, "{moving}:")
        with pytest.raises(Exception):  # noqa: B017, PT011  # that it is elsewhere
            await store.renew(session.id, at(1))
        await until(lambda: store.available)
        assert await store.get(session.id) == session
        await store.close()


async def _move(nodes: list[RedisProcess], key: str) -> None:
    """Move the slot of a key from its node to another one."""
    connections = [await RedisServer(StoreSettings(url=node.url)).connect() for node in nodes]
    slot = await connections[0].send("CLUSTER", "KEYSLOT", key)
    names = [(await each.send("CLUSTER", "MYID")).decode() for each in connections]
    counts = [await each.send("CLUSTER", "COUNTKEYSINSLOT", slot) for each in connections]
    source = next(place for place, count in enumerate(counts) if count)
    target = (source + 1) % 3
    await connections[target].send("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    await connections[source].send("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    keys = await connections[source].send("CLUSTER", "GETKEYSINSLOT", slot, 100)
    await connections[source].send("MIGRATE", "127.0.0.1", nodes[target].port, "", 0, 5000, "KEYS", *keys)
    for each in (target, source, 3 - source - target):
        await connections[each].send("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    for connection in connections:
        await connection.close()
