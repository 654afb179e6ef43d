"""Whom a client's certificate stands for."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.certificates import Kind, Mappings, Shown, parsed, shown
from gateway.auth.credentials import Credentials
from gateway.auth.holders import Holder, NotLetIn, Reason
from gateway.auth.keyfile import KeyFile
from gateway.auth.keyring import Demand, Keyring
from gateway.auth.keys import Scope
from gateway.auth.watched import Unusable
from gateway.auth_settings import AuthSettings
from gateway.doctor.callers import client_certificates
from gateway.doctor.finding import Status
from tests.auth.showing import write_mappings
from tests.tls.authority import replace

NOW = 1_800_000_000.0
WEB = "spiffe://example.org/ns/shop/sa/web"


def mapped(tmp_path: Path, *mappings: dict[str, Any]) -> Mappings:
    write_mappings(tmp_path / "mappings.toml", *mappings)
    return parsed((tmp_path / "mappings.toml").read_bytes())


def principal(mappings: Mappings, certificate: Shown | None) -> str | None:
    assert certificate is not None
    try:
        return mappings.find(certificate, NOW).principal
    except NotLetIn:
        return None


def test_uris_count_before_dns_names_and_those_before_the_common_name() -> None:
    assert shown([WEB], ["web"], "me") == Shown(Kind.URI, (WEB,))
    assert shown([], ["Web.Example.ORG", "b"], "me") == Shown(Kind.DNS, ("web.example.org", "b"))
    assert shown([], [], "Me") == Shown(Kind.CN, ("Me",))
    assert shown([], [], None) is shown([], [], "") is None


def test_a_name_that_counts_less_is_none_in_place_of_one_that_does_not_match(tmp_path: Path) -> None:
    mappings = mapped(tmp_path, {"identity": "cn:me"}, {"identity": "dns:web"})
    assert principal(mappings, shown([WEB], ["web"], "me")) is None
    assert principal(mappings, shown([], ["other"], "me")) is None
    assert principal(mappings, shown([], [], "me")) == "cert:cn:me"
    assert shown(["\0"], ["web"], "me") is None
    assert shown(["u" * 1025], ["web"], "me") is None


def test_a_name_of_one_kind_is_none_of_another(tmp_path: Path) -> None:
    assert principal(mapped(tmp_path, {"identity": f"uri:{WEB}"}), shown([], [], WEB)) is None
    assert principal(mapped(tmp_path, {"identity": "dns:web"}), shown([], [], "web")) is None


@pytest.mark.parametrize(
    ("identity", "matches", "others"),
    [
        ("dns:Web.example.org", ["web.example.org", "WEB.example.org"], ["xweb.example.org", "web.example.org.evil"]),
        ("dns:*.example.org", ["a.example.org"], ["a.b.example.org", ".example.org", "example.org", "axexample.org"]),
        ("dns:**.example.org", ["a.example.org", "a.b.example.org"], ["example.org"]),
        (
            "uri:spiffe://e/ns/*/sa/web",
            ["spiffe://e/ns/a/sa/web"],
            ["spiffe://e/ns/a/b/sa/web", "spiffe://e/ns//sa/web"],
        ),
        ("uri:spiffe://e/**", ["spiffe://e/a", "spiffe://e/a/b"], ["spiffe://e/", "spiffe://evil/a", "Spiffe://e/a"]),
        ("uri:a.c+(d)", ["a.c+(d)"], ["abc+(d)", "a.cc(d)"]),
    ],
)
def test_what_a_pattern_matches(tmp_path: Path, identity: str, matches: list[str], others: list[str]) -> None:
    mappings = mapped(tmp_path, {"identity": identity})
    kind = identity.partition(":")[0]
    for names, is_known in ((matches, True), (others, False)):
        for name in names:
            certificate = shown([name], [], None) if kind == "uri" else shown([], [name], None)
            assert (principal(mappings, certificate) is not None) is is_known, name


def test_a_pattern_is_looked_for_in_bounded_time(tmp_path: Path) -> None:
    mappings = mapped(tmp_path, {"identity": "uri:**/*a/*a/*b"})
    assert principal(mappings, shown(["a/" * 512], [], None)) is None


def test_each_identity_is_a_principal_of_its_own_unless_the_mapping_names_one(tmp_path: Path) -> None:
    mappings = mapped(
        tmp_path,
        {"identity": "dns:*.batch.example.org", "principal": "batch", "scopes": ["read", "admin"]},
        {"identity": "dns:*.example.org"},
    )
    for name in ("a.batch.example.org", "b.batch.example.org"):
        holder = mappings.find(Shown(Kind.DNS, (name,), NOW + 1), NOW)
        assert holder == Holder("cert:batch", (Scope.READ, Scope.ADMIN), NOW + 1)
    assert principal(mappings, shown([], ["a.example.org"], None)) == "cert:dns:a.example.org"


def test_the_first_mapping_counts_whose_pattern_one_of_the_names_matches(tmp_path: Path) -> None:
    mappings = mapped(tmp_path, {"identity": "dns:b", "principal": "first"}, {"identity": "dns:a"})
    assert principal(mappings, shown([], ["a", "b"], None)) == "cert:first"


def test_a_certificate_is_good_until_it_expires(tmp_path: Path) -> None:
    mappings = mapped(tmp_path, {"identity": "cn:me"})
    assert mappings.find(Shown(Kind.CN, ("me",), NOW + 1), NOW).principal
    with pytest.raises(NotLetIn) as caught:
        mappings.find(Shown(Kind.CN, ("me",), NOW), NOW)
    assert caught.value.reason is Reason.EXPIRED


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "UTF-8"),
        (b"[[certificate]", "Expected"),
        (b"a = " + b"[" * 100_000, "nested"),
        (b"mapping = 1", "mapping"),
        (b"certificate = 1", "certificate"),
        (b'[[certificate]]\nidentity = "cn:a"', "certificate.0.scopes"),
        (b'[[certificate]]\nidentity = "cn:a"\nscopes = []', "certificate.0.scopes"),
        (b'[[certificate]]\nidentity = "cn:a"\nscopes = ["all"]', "certificate.0.scopes.0"),
        (b'[[certificate]]\nidentity = "a"\nscopes = ["read"]', "must be uri:NAME, dns:NAME or cn:NAME"),
        (b'[[certificate]]\nidentity = "ip:a"\nscopes = ["read"]', "must be uri:NAME, dns:NAME or cn:NAME"),
        (b'[[certificate]]\nidentity = "cn:"\nscopes = ["read"]', "must be uri:NAME, dns:NAME or cn:NAME"),
        (b'[[certificate]]\nidentity = "cn:a*b*"\nscopes = ["read"]', "more than one wildcard in a part"),
        (b'[[certificate]]\nidentity = "uri:**/a/**"\nscopes = ["read"]', "more than one **"),
        (b'[[certificate]]\nidentity = "cn:a"\nscopes = ["read"]\nprincipal = "a:b"', "certificate.0.principal"),
        (b'[[certificate]]\nidentity = "cn:a"\nscopes = ["read"]\nrole = "x"', "certificate.0.role"),
        (b'[[certificate]]\nidentity = "cn:a"\nscopes = ["read"]\n' * 2, "cn:a is in it twice"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parsed(content)


def known(path: Path) -> Credentials:
    return Credentials(Keyring(KeyFile(path.parent), Demand.ONCE_THERE_ARE_KEYS), AuthSettings(certificates_file=path))


@pytest.mark.parametrize("gone", [True, False])
async def test_nobody_is_known_by_a_file_that_cannot_be_used_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    path, certificate = tmp_path / "mappings.toml", shown([], [], "me")
    write_mappings(path, {"identity": "cn:me"})
    credentials = known(path)
    assert credentials.required
    assert not await credentials.refresh()
    good = path.read_bytes()
    path.unlink() if gone else replace(path, b"[[")
    assert not await credentials.refresh()  # which may have been half of a change
    assert credentials.of_certificate(certificate, NOW).principal
    assert await credentials.refresh()
    assert not await credentials.refresh()
    with pytest.raises(NotLetIn):
        credentials.of_certificate(certificate, NOW)
    assert len([record for record in caplog.records if str(path) in record.getMessage()]) == 1
    replace(path, good)
    assert await credentials.refresh()
    assert credentials.of_certificate(certificate, NOW).principal


def test_the_doctor_reads_the_file_as_a_gateway_does(tmp_path: Path) -> None:
    path = tmp_path / "mappings.toml"
    settings = AuthSettings(certificates_file=path)
    assert client_certificates(AuthSettings()).status is Status.SKIPPED
    assert client_certificates(settings).status is Status.FAILED
    replace(path, b"")
    assert client_certificates(settings).status is Status.WARNING
    write_mappings(path, {"identity": "cn:me"})
    found = client_certificates(settings)
    assert (found.status, found.message) == (Status.OK, f"{path}, mappings: 1")


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="No such file"):
        known(tmp_path / "mappings.toml")


def test_a_file_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "mappings.toml"
    write_mappings(path, {"identity": "cn:me"})
    path.chmod(0o666)
    with pytest.raises(Unusable, match="others can write to it"):
        known(path)
