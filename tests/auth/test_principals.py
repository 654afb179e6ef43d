"""Callers that a gateway knows by their certificates and by the tokens of an issuer."""

import subprocess
import sys

import pytest
from cryptography import x509

from sessiongateway import Inference, UnauthenticatedError
from tests.auth.issuing import issue, known
from tests.auth.showing import ISSUER, dns, uri
from tests.auth.site import NUMBERS, Site
from tests.auth.test_callers import CHANGING, METHODS, run_state
from tests.process.observe import eventually
from tests.process.scraping import scraped
from tests.scenarios.failures import refused
from tests.tls.served import PATIENCE


async def test_sessions_belong_to_the_identity_in_the_certificate_over_whatever_connection(site: Site) -> None:
    _, mine = site.workload()
    _, theirs = site.workload()
    async with site.client(mine) as one, site.client(mine) as two, site.client(theirs) as other:
        session = await one.new("run")
        assert (await two.run("run", session=session.id)).output["calls"] == 2
        await refused(other.get(session.id), "SESSION_NOT_FOUND", "")
        await refused(other.run("run", session=session.id), "SESSION_NOT_FOUND", "NOT_STARTED")
        assert list((await other.list()).sessions) == []
        assert (await two.end(session.id)).id == session.id


async def test_certificates_that_are_mapped_together_are_one_principal(site: Site) -> None:
    async with (
        site.client(site.shows(dns("A.batch.example.org"))) as one,
        site.client(site.shows(dns("b.batch.example.org"))) as two,
    ):
        session = await one.new("run")
        assert (await two.end(session.id)).id == session.id


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("build server", ()),
        ("x", (dns("a.batch.example.org"),)),
        ("x", (dns("other"), dns("a.batch.example.org"))),
        ("build server", (dns("a.batch.example.org"), uri("spiffe://example.org/ns/a"))),
    ],
)
async def test_a_name_that_is_mapped_is_let_in(site: Site, name: str, others: tuple[x509.GeneralName, ...]) -> None:
    async with site.client(site.shows(*others, name=name)) as client:
        await client.list()


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("other", ()),
        ("spiffe://example.org/ns/a", ()),
        ("build server", (dns("other"),)),
        ("build server", (dns("a.batch.example.org"), uri("spiffe://example.org/other"))),
        ("x", (uri("spiffe://example.org/ns/a/b"),)),
        ("x", (x509.RFC822Name("a.batch.example.org"),)),
        ("build server\0.evil.org", ()),
        ("build server", (dns("a.batch.example.org\0.evil.org"),)),
        ("build server", (uri("spiffe://example.org/ns/a\0/evil"),)),
        ("build server", (uri("\0spiffe://evil"),)),
        (("build server", "bob"), ()),
        (("bob", "build server"), ()),
    ],
)
async def test_a_certificate_that_is_mapped_to_nobody_is_unauthenticated(
    site: Site, name: str | tuple[str, ...], others: tuple[x509.GeneralName, ...]
) -> None:
    async with site.client(site.shows(*others, name=name)) as client:
        told = await refused(client.run("run"), "UNAUTHENTICATED", "NOT_STARTED")
        # As one whose token is nobody's: nothing tells which of them is wrong.
        for key in ("a.b.c", site.issuer.token(aud="other"), "sgw_" + "a" * 13 + "_" + "b" * 52):
            assert (
                await refused(client.as_caller(key).run("run"), "UNAUTHENTICATED", "NOT_STARTED")
            ).message == told.message


@pytest.mark.parametrize("method", CHANGING)
async def test_a_certificate_and_a_token_for_reading_change_nothing(site: Site, method: str) -> None:
    async with site.client(site.shows(uri("spiffe://example.org/reader"))) as reader:
        for client in (reader, reader.as_caller(site.issuer.token(scope="read"))):
            refusal = await refused(METHODS[method](client), "PERMISSION_DENIED", run_state(method))
            assert refusal.info.metadata["permission"] == "execute"
            await client.list()


async def test_a_token_without_a_scope_of_ours_may_do_nothing(site: Site) -> None:
    async with site.client() as client:
        caller = client.as_caller(site.issuer.token(scope="openid profile"))
        for method, call in METHODS.items():
            await refused(call(caller), "PERMISSION_DENIED", run_state(method))


async def test_sessions_belong_to_the_subject_of_the_token_whatever_token_it_sends(site: Site) -> None:
    async with site.client() as client:
        ann, again, bob = (
            client.as_caller(site.issuer.token(who, jti=str(n))) for n, who in enumerate(("a", "a", "b"))
        )
        session = await ann.new("run")
        assert (await again.run("run", session=session.id)).output["calls"] == 2
        await refused(bob.get(session.id), "SESSION_NOT_FOUND", "")
        assert (await again.end(session.id)).id == session.id


async def test_what_is_sent_decides_alone_and_the_certificate_only_without_it(site: Site) -> None:
    _, tls = site.workload()
    _, shown = issue(site.process.data_dir, f"key-{next(NUMBERS)}")
    async with site.client(tls) as by_certificate:
        by_token, by_key = map(by_certificate.as_caller, (site.issuer.token(), shown))
        await known(by_key)
        clients = (by_certificate, by_token, by_key)
        sessions = [await client.new("run") for client in clients]
        for number, client in enumerate(clients):
            for other, session in enumerate(sessions):
                if other == number:
                    assert (await client.get(session.id)).id == session.id
                else:
                    await refused(client.get(session.id), "SESSION_NOT_FOUND", "")
        for wrong in ("x", "a.b.c", site.issuer.token(exp=1)):
            await refused(by_certificate.as_caller(wrong).run("run"), "UNAUTHENTICATED", "NOT_STARTED")
        for client, session in zip(clients, sessions, strict=True):
            await client.end(session.id)


async def test_an_admin_by_certificate_sees_and_ends_the_sessions_of_all(site: Site) -> None:
    _, tls = site.workload()
    async with site.client(tls) as owner, site.client(site.shows(uri("spiffe://example.org/admin"))) as admin:
        session = await owner.new("run")
        assert (await admin.end(session.id)).id == session.id
        by_token = admin.as_caller(site.issuer.token("root", scope="admin"))
        assert (await by_token.get(session.id)).id == session.id


async def test_a_page_token_of_one_caller_is_told_to_another_like_one_that_was_made_up(site: Site) -> None:
    _, tls = site.workload()
    async with site.client(tls) as one, site.client(site.shows(uri("spiffe://example.org/admin"))) as admin:
        other, second_admin = (one.as_caller(site.issuer.token(scope=scope)) for scope in ("read", "admin"))
        sessions = [await one.new("run") for _ in range(2)]
        for owner, strangers in ((one, [other, admin]), (admin, [one, second_admin])):
            token = (await owner.list(page_size=1)).next_page_token
            assert token
            assert (await owner.list(page_size=1, page_token=token)).sessions
            for stranger in strangers:
                texts = {
                    (await refused(stranger.list(page_size=1, page_token=wrong), "INVALID_REQUEST", "")).message
                    for wrong in (token, "AAAA", token[:-1] + ("A" if token[-1] != "A" else "B"))
                }
                assert len(texts) == 1
        for session in sessions:
            await one.end(session.id)


async def refusals(site: Site, reason: str) -> float:
    return (await scraped(site.process)).total("sgw_callers_refused_total", reason=reason)


async def test_refusals_are_logged_and_counted_without_what_was_shown(site: Site) -> None:
    before = {reason: await refusals(site, reason) for reason in ("wrong_claims", "unknown_certificate")}
    async with site.client() as client:
        wrong = site.issuer.token(aud="other")
        await refused(client.as_caller(wrong).run("run"), "UNAUTHENTICATED", "NOT_STARTED")
        await refused(client.run("run"), "UNAUTHENTICATED", "NOT_STARTED")
    await eventually("the log says so", lambda: "refused a call of ipv4:127.0.0.1:" in site.process.log)
    for reason, count in before.items():
        assert await refusals(site, reason) == count + 1
    assert wrong.rpartition(".")[2] not in site.process.log
    ways = f"API keys (0 good), tokens of {ISSUER} (its keys: 1), client certificates (mappings: 5)"
    assert f"callers are known by {ways}" in site.process.log


def test_the_python_client_takes_a_certificate_and_a_token_as_it_takes_a_key(site: Site) -> None:
    tls = site.files_of(uri("spiffe://example.org/ns/sdk"))
    with (
        Inference(address=site.process.address, tls=tls) as client,
        Inference(site.issuer.token(), site.process.address, tls=tls) as other,
        client.session("probe") as session,
    ):
        session.call({})
        assert [each.id for each in client.sessions.list(status="active")] == [session.id]
        assert session.id not in [each.id for each in other.sessions.list()]
    with Inference(address=site.process.address, tls=site.files.known) as client, pytest.raises(UnauthenticatedError):
        list(client.sessions.list())


def test_the_commands_take_a_certificate_and_a_token_as_they_take_a_key(site: Site) -> None:
    tls = site.files_of(uri("spiffe://example.org/ns/command"))
    flags = ["--address", site.process.address, "--tls-ca", tls.ca, "--tls-cert", tls.cert, "--tls-key", tls.key]
    command = [sys.executable, "-m", "gateway.cli", "app", "list", "--json", *map(str, flags)]
    for more in ([], ["--api-key", site.issuer.token()]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=True, timeout=PATIENCE)
        assert "probe" in done.stdout
    command += ["--api-key", "a.b.c"]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert "UNAUTHENTICATED" in wrong.stderr
