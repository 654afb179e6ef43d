"""What becomes of callers whose mapping, signing key, certificate or token goes while they are served."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import grpc
import pytest

from gateway.testing.gate import Gate
from gateway.timing import JWT_LEEWAY
from sessiongateway.v1 import sessions_pb2 as pb
from tests.auth.issuing import gone, issue, known, revoke
from tests.auth.showing import uri
from tests.auth.site import NUMBERS, Site, opened
from tests.process.observe import eventually
from tests.scenarios.client import Client
from tests.scenarios.failures import refused
from tests.tls.authority import Authority, replace
from tests.tls.served import PATIENCE, TRANSPORTS


async def streams_end(client: Client, gate: Gate, take_away: Callable[[], None]) -> None:
    """Assert that everything that a caller has open ends when something is taken away, within a second."""
    session = await client.new("run")
    async with client.keepalive_stream() as stream, client.watch() as watch:
        await stream.renew(session.id)
        await watch.receive()
        running = client.stream("pause", {"gate": gate.path}, session=session.id)
        assert await running.receive() == {"at": "gate"}
        await gate.arrival()
        take_away()
        began = time.monotonic()
        await refused(stream.receive(), "UNAUTHENTICATED", "")
        await refused(watch.receive(), "UNAUTHENTICATED", "")
        await refused(running.receive(), "UNAUTHENTICATED", "UNKNOWN")
        assert time.monotonic() - began < 5  # one, on a machine that does nothing else
        assert await gate.departure() == "pause"
    await gone(client)


async def test_a_mapping_that_is_taken_out_ends_what_it_let_in_and_no_more(site: Site, gate: Gate) -> None:
    (identity, tls), (_, others) = site.workload("own"), site.workload()
    async with site.client(tls) as client, site.client(others) as other, other.watch() as watch:
        site.map({"identity": f"uri:{identity}"})
        await known(client)
        await watch.receive()
        await streams_end(client, gate, site.map)
        session = await other.new("run")
        assert (await watch.receive()).session.id == session.id
        await other.end(session.id)
        site.map({"identity": f"uri:{identity}"})
        await known(client)


async def test_a_mapping_whose_scopes_change_ends_streams_too(site: Site) -> None:
    identity, tls = site.workload("own")
    site.map({"identity": f"uri:{identity}"})
    async with site.client(tls) as client:
        await known(client)
        async with client.watch() as watch:
            await watch.receive()
            site.map({"identity": f"uri:{identity}", "scopes": ["read"]})
            await refused(watch.receive(), "UNAUTHENTICATED", "")
        await refused(client.run("run"), "PERMISSION_DENIED", "NOT_STARTED")
        await client.list()


async def test_a_key_that_is_taken_out_of_the_issuers_file_ends_what_its_tokens_let_in(site: Site, gate: Gate) -> None:
    site.issuer.add("two")
    site.write_keys()
    async with site.client() as client:
        stays, goes = (client.as_caller(site.issuer.token(f"of {key}", key=key)) for key in ("one", "two"))
        await known(goes)

        def take_away() -> None:
            del site.issuer.keys["two"]
            site.write_keys()

        async with stays.watch() as watch:
            await watch.receive()
            await streams_end(goes, gate, take_away)
            session = await stays.new("run")
            assert (await watch.receive()).session.id == session.id
            await stays.end(session.id)


async def test_a_broken_file_of_the_issuers_keys_takes_nothing_from_anybody(site: Site) -> None:
    async with site.client() as client:
        ann = client.as_caller(site.issuer.token())
        async with ann.watch() as watch:
            await watch.receive()
            path = site.files.folder / "jwks.json"
            good = path.read_bytes()
            replace(path, b"{")
            await eventually("the log says so", lambda: str(path) in site.process.log)
            session = await client.as_caller(site.issuer.token(jti="new")).new("run")
            assert (await watch.receive()).session.id == session.id
            replace(path, good)
            await ann.end(session.id)


async def test_a_token_expires_by_itself_and_so_do_its_streams(site: Site) -> None:
    async with site.client() as client:
        ann = client.as_caller(site.issuer.token(exp=time.time() + 3 - JWT_LEEWAY))
        async with ann.watch() as watch:
            await watch.receive()
            await refused(watch.receive(), "UNAUTHENTICATED", "")
        await refused(ann.run("run"), "UNAUTHENTICATED", "NOT_STARTED")


async def test_a_certificate_that_expires_is_good_no_more_on_connections_that_are_open(site: Site) -> None:
    tls = site.shows(uri("spiffe://example.org/ns/late"), ends=timedelta(seconds=4))
    async with site.client(tls) as client, client.watch() as watch:
        await watch.receive()
        await refused(watch.receive(), "UNAUTHENTICATED", "")
        await refused(client.run("run"), "UNAUTHENTICATED", "NOT_STARTED")


async def test_revoking_a_key_takes_nothing_from_those_with_tokens_and_certificates(site: Site) -> None:
    key, shown = issue(site.process.data_dir, f"key-{next(NUMBERS)}")
    _, tls = site.workload()
    async with site.client(tls) as by_certificate:
        by_key, by_token = map(by_certificate.as_caller, (shown, site.issuer.token()))
        await known(by_key)
        async with by_certificate.watch() as one, by_token.watch() as two:
            await one.receive()
            await two.receive()
            revoke(site.process.data_dir, key)
            await gone(by_key)
            for client, watch in ((by_certificate, one), (by_token, two)):
                session = await client.new("run")
                assert (await watch.receive()).session.id == session.id
                await client.end(session.id)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_authority_that_is_replaced_decides_about_new_connections(transport: str) -> None:
    async with AsyncExitStack() as stack:
        site = stack.enter_context(opened(transport, "1"))
        _, tls = site.workload()
        client = await stack.enter_async_context(site.client(tls))
        await client.list()
        replace(site.files.ca, Authority().pem)
        await eventually("it is used", lambda: "need a certificate of an authority in" in site.process.log)
        await client.list()  # over the connection that is there
        late = await stack.enter_async_context(site.client(tls))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late.sessions.ListSessions(pb.ListSessionsRequest(), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
