"""What `sgw doctor` finds out about certificates before a gateway serves with them."""

import datetime
import time
from pathlib import Path

import pytest

from gateway.config import ServerSettings
from gateway.doctor.finding import Finding, Status
from gateway.doctor.tls import certificates, listening
from tests.tls.authority import Authority, expired, replace
from tests.tls.served import Files

DAY = datetime.timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files.made(tmp_path)
    made.key.chmod(0o600)
    return made


def looked_at(files: Files, now: float | None = None) -> list[Finding]:
    settings = ServerSettings(tls_cert=files.certificate, tls_key=files.key, client_ca=files.ca)
    return [finding for finding in certificates(settings, now) if finding.check != "client authority"]


def authority_of_clients(files: Files) -> list[Finding]:
    settings = ServerSettings(tls_cert=files.certificate, tls_key=files.key, client_ca=files.ca)
    return [finding for finding in certificates(settings) if finding.check == "client authority"]


def the_one(findings: list[Finding], status: Status, *words: str) -> None:
    (finding,) = findings
    assert finding.status is status, finding
    assert [word for word in words if word not in f"{finding.message} {finding.do}"] == []


def test_a_certificate_is_told_with_its_names_and_days(files: Files) -> None:
    the_one(looked_at(files), Status.OK, "localhost, 127.0.0.1", "30 days")


def test_one_that_ends_soon_is_a_warning(files: Files) -> None:
    the_one(looked_at(files, time.time() + 10 * 86400), Status.WARNING, "20 days", "Renew")


def test_one_that_has_expired_or_is_not_valid_yet_is_a_failure(files: Files) -> None:
    times = expired()
    files.authority.server(times["begins"], times["ends"]).in_files(files.folder, "server")
    files.key.chmod(0o600)
    the_one(looked_at(files), Status.FAILED, "expired")
    files.authority.server(begins=DAY).in_files(files.folder, "server")
    files.key.chmod(0o600)
    the_one(looked_at(files), Status.FAILED, "not valid yet", "clock")


def test_one_for_clients_is_a_failure(files: Files) -> None:
    pair = files.authority.client()
    replace(files.certificate, pair.certificate)
    replace(files.key, pair.key).chmod(0o600)
    the_one(looked_at(files), Status.FAILED, "purpose")


def test_the_key_of_another_and_a_missing_file_are_failures(files: Files) -> None:
    replace(files.key, Authority().server().key)
    the_one(looked_at(files), Status.FAILED, "is not the key of the certificate")
    files.certificate.unlink()
    the_one(looked_at(files), Status.FAILED, "No such file")


def test_the_authority_of_clients_is_told_by_its_own_name(files: Files) -> None:
    the_one(authority_of_clients(files), Status.OK, str(files.ca))
    replace(files.ca, b"nothing")
    the_one(authority_of_clients(files), Status.FAILED, str(files.ca), "no certificate in PEM form")
    the_one(looked_at(files), Status.OK)
    files.ca.unlink()
    the_one(authority_of_clients(files), Status.FAILED, "No such file")


def test_a_key_that_others_may_read_is_a_warning(files: Files) -> None:
    files.key.chmod(0o640)
    good, open_ = looked_at(files)
    the_one([good], Status.OK)
    the_one([open_], Status.WARNING, "chmod 600")


def test_without_tls_there_is_nothing_to_look_at() -> None:
    the_one(list(certificates(ServerSettings())), Status.SKIPPED)


def test_an_address_that_others_reach_needs_tls(files: Files) -> None:
    the_one([listening(ServerSettings())], Status.OK)
    the_one([listening(ServerSettings(listen="0.0.0.0:1"))], Status.FAILED, "0.0.0.0:1 can be reached", "--insecure")
    served = ServerSettings(listen="0.0.0.0:1", tls_cert=files.certificate, tls_key=files.key)
    the_one([listening(served)], Status.OK)
