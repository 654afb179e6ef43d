"""What is read of files of certificates, and what is said of those that cannot be used."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import ConfigError, ServerSettings, load
from gateway.reachable import objection
from gateway.rpc.certificates import Certificates, CertificateUnusable, uncommon_key
from gateway.testing.descriptors import descriptors, none_left
from gateway.timing import CERTIFICATE_POLL, CERTIFICATE_SETTLE
from tests.tls.authority import Authority, encrypted_key, replace

Folder = Callable[[Path], None]

UNUSABLE: dict[str, tuple[Folder, str]] = {
    "no certificate": (lambda folder: (folder / "server.pem").unlink(), "server.pem: No such file"),
    "no key": (lambda folder: (folder / "server.key").unlink(), "server.key: No such file"),
    "no authority": (lambda folder: (folder / "clients.pem").unlink(), "clients.pem: No such file"),
    "an empty certificate": (
        lambda folder: write(folder / "server.pem", b""),
        "server.pem: no certificate in PEM form",
    ),
    "half a certificate": (lambda folder: halve(folder / "server.pem"), "server.pem: no certificate in PEM form"),
    "half a key": (lambda folder: halve(folder / "server.key"), "server.key: no private key in PEM form"),
    "half an authority": (lambda folder: halve(folder / "clients.pem"), "clients.pem: no certificate in PEM form"),
    "noise": (lambda folder: noise(folder / "server.pem"), "server.pem: no certificate in PEM form"),
    "the key of another": (
        lambda folder: write(folder / "server.key", Authority().server().key),
        "server.key is not the key of the certificate in .*server.pem",
    ),
    "a key that is encrypted": (
        lambda folder: write(folder / "server.key", encrypted_key()),
        "server.key: the key is encrypted",
    ),
    "a directory": (lambda folder: special(folder / "server.key", os.mkdir), "server.key: Is a directory"),
    "a pipe": (lambda folder: special(folder / "server.pem", os.mkfifo), "server.pem: not a regular file"),
    "an endless file": (
        lambda folder: special(folder / "server.pem", lambda path: path.symlink_to("/dev/zero")),
        "server.pem: not a regular file",
    ),
    "a huge file": (lambda folder: os.truncate(folder / "clients.pem", 10**9), "clients.pem: more than"),
}


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(1000))


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def special(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = Authority()
    authority.server().in_files(tmp_path, "server")
    authority.in_file(tmp_path, "clients")
    return tmp_path


def certificates(folder: Path) -> Certificates:
    return Certificates(folder / "server.pem", folder / "server.key", folder / "clients.pem")


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_cannot_be_used_is_named_with_the_reason(folder: Path, kind: str) -> None:
    spoil, text = UNUSABLE[kind]
    spoil(folder)
    with pytest.raises(CertificateUnusable, match=text):
        certificates(folder)


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_cannot_be_used_later_changes_nothing_and_is_logged_once_when_it_stays(
    folder: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = certificates(folder)
    pem, context = served.pem, served.context
    UNUSABLE[kind][0](folder)
    served.refresh()
    assert caplog.records == []
    looks = 1
    while not caplog.records and looks < 20:
        served.refresh()
        looks += 1
    if kind == "the key of another":
        # Which is what stands there for a moment whenever both are replaced.
        assert looks == CERTIFICATE_SETTLE / CERTIFICATE_POLL
    else:
        assert looks == 2
    for _ in range(20):
        served.refresh()
    level = logging.WARNING if kind == "the key of another" else logging.ERROR
    assert [record.levelno for record in caplog.records] == [level]
    assert served.pem is pem
    assert served.context is context


def test_files_that_have_not_changed_are_not_taken_up_again(folder: Path) -> None:
    served = certificates(folder)
    context = served.context
    served.refresh()
    assert served.context is context


@pytest.mark.parametrize("name", ["server", "clients"])
def test_files_that_have_changed_are_taken_up_together(folder: Path, name: str) -> None:
    served = certificates(folder)
    before, context = served.pem, served.context
    fresh = Authority()
    if name == "server":
        fresh.server().in_files(folder, "server")
    else:
        fresh.in_file(folder, "clients")
    served.refresh()
    assert served.pem != before
    assert served.context is not context
    assert (served.pem.client_ca == before.client_ca) is (name == "server")


@pytest.mark.parametrize(
    ("name", "said"),
    [("server", "new connections get the certificate"), ("clients", "clients that connect from now on need")],
)
def test_the_log_says_which_file_is_new(folder: Path, name: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = certificates(folder)
    fresh = Authority()
    if name == "server":
        fresh.server().in_files(folder, "server")
    else:
        fresh.in_file(folder, "clients")
    served.refresh()
    assert [said in record.message and f"{name}.pem" in record.message for record in caplog.records] == [True]


def test_another_problem_is_told_after_looks_of_its_own(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    served = certificates(folder)
    certificate = (folder / "server.pem").read_bytes()
    replace(folder / "server.pem", b"")
    served.refresh()
    served.refresh()
    replace(folder / "server.pem", certificate)
    replace(folder / "server.key", Authority().server().key)
    served.refresh()
    served.refresh()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    ("make", "name"), [(ed25519.Ed25519PrivateKey.generate, "Ed25519"), (ed448.Ed448PrivateKey.generate, "Ed448")]
)
def test_a_key_that_many_clients_cannot_use_is_warned_of(
    folder: Path, make: Callable[[], Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Authority().server(key=make()).in_files(folder, "server")
    served = certificates(folder)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert name in caplog.text
    assert f"{folder}/server.key" in caplog.text
    Authority().server().in_files(folder, "server")
    served.refresh()
    Authority().server(key=make()).in_files(folder, "server")
    served.refresh()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["RSA", "P-384"],
)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_keys_that_all_clients_can_use_are_not_warned_of(key: Any, form: PrivateFormat) -> None:
    assert uncommon_key(key.private_bytes(Encoding.PEM, form, NoEncryption())) is None


def test_a_problem_that_comes_back_is_logged_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    served = certificates(folder)
    content = (folder / "server.key").read_bytes()
    for _ in range(2):
        replace(folder / "server.key", b"")
        served.refresh()
        served.refresh()
        replace(folder / "server.key", content)
        served.refresh()
    assert len(caplog.records) == 2


def test_a_certificate_may_come_with_what_leads_to_its_authority_and_with_comments(folder: Path) -> None:
    path = folder / "server.pem"
    path.write_bytes("Größe\n".encode() + path.read_bytes() + Authority().pem)
    assert certificates(folder).pem.certificate == path.read_bytes()


async def test_files_are_left_open_by_nobody(folder: Path) -> None:
    served = certificates(folder)
    before = descriptors()
    for spoil, _ in UNUSABLE.values():
        made_anew(folder)
        spoil(folder)
        served.refresh()
    await none_left(before)


def made_anew(folder: Path) -> None:
    for path in folder.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    Authority().server().in_files(folder, "server")
    Authority().in_file(folder, "clients")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tls_cert": "c"}, "tls_cert is given without tls_key"),
        ({"tls_key": "k"}, "tls_key is given without tls_cert"),
        ({"client_ca": "a"}, "client_ca is given without"),
    ],
)
def test_settings_that_are_of_no_use_alone_are_refused(given: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load({"server": given})


def test_an_address_that_others_can_reach_needs_tls_or_a_word_that_it_may_be_without() -> None:
    reachable = ServerSettings(listen="0.0.0.0:1")
    told = objection(reachable)
    assert told is not None
    assert all(way in told for way in ("0.0.0.0:1", "--tls-cert", "--tls-key", "--insecure", "127.0.0.1"))
    assert objection(ServerSettings(listen="127.0.0.1:1")) is None
    assert objection(reachable.model_copy(update={"insecure": True})) is None
    assert objection(reachable.model_copy(update={"tls_cert": Path("c"), "tls_key": Path("k")})) is None
