"""How the Python client and `sgw` are told of TLS."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from gateway.cli.exits import Exit
from gateway.cli.root import run
from gateway.testing.process import GatewayProcess
from sessiongateway import TLS, Inference, UnavailableError
from sessiongateway._tls import chosen
from tests.scenarios.witness import STEADY
from tests.tls.authority import encrypted_key, replace
from tests.tls.served import PATIENCE, Files, gateway


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def served(files: Files) -> Iterator[GatewayProcess]:
    with gateway(files.folder / "data", "auto", files.serve_known_clients) as process:
        yield process


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SGW_TLS", "SGW_TLS_CA", "SGW_TLS_CERT", "SGW_TLS_KEY", "SGW_ADDRESS", "SGW_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    for name, path in (("CA", files.ca), ("CERT", files.client_certificate), ("KEY", files.client_key)):
        monkeypatch.setenv(f"SGW_TLS_{name}", str(path))


def test_a_client_takes_tls_from_the_environment(
    served: GatewayProcess, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, files)
    with Inference(address=served.address, timeout=PATIENCE) as client:
        assert client.run({"app": STEADY}).output["calls"] >= 1


def test_what_is_given_goes_before_the_environment(
    served: GatewayProcess, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, files)
    with (
        Inference(address=served.address, tls=files.unknown, timeout=PATIENCE) as client,
        pytest.raises(UnavailableError),
    ):
        client.run({"app": STEADY})


@pytest.mark.parametrize(
    ("environment", "tls"),
    [
        ({}, None),
        ({"SGW_TLS": "1"}, TLS()),
        ({"SGW_TLS": "yes", "SGW_TLS_CA": "a"}, TLS("a")),
        ({"SGW_TLS_CA": "a"}, TLS("a")),
        ({"SGW_TLS_CERT": "c", "SGW_TLS_KEY": "k"}, TLS(None, "c", "k")),
        ({"SGW_TLS": "0", "SGW_TLS_CA": "a"}, None),
        ({"SGW_TLS": "", "SGW_TLS_CA": "a"}, None),
        ({"SGW_TLS_CA": ""}, None),
    ],
)
def test_what_the_environment_asks_for(environment: dict[str, str], tls: TLS | None) -> None:
    assert TLS.from_environment(environment) == tls


def test_what_is_neither_on_nor_off_is_refused() -> None:
    with pytest.raises(ValueError, match="SGW_TLS must be 1 or 0"):
        TLS.from_environment({"SGW_TLS": "maybe"})


def test_a_certificate_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="cert and key"):
        TLS(cert="c")
    with pytest.raises(ValueError, match="cert and key"):
        TLS.from_environment({"SGW_TLS_KEY": "k"})


def test_tls_and_credentials_at_once_are_refused(files: Files) -> None:
    with pytest.raises(ValueError, match="not both"):
        Inference(tls=files.unknown, credentials=grpc.ssl_channel_credentials())


def test_credentials_are_taken_whatever_the_environment_says() -> None:
    credentials = grpc.ssl_channel_credentials()
    assert chosen(None, credentials) is credentials


BAD: dict[str, tuple[Callable[[Files], TLS], str]] = {
    "no such file": (lambda files: TLS(files.folder / "none"), "none: No such file"),
    "an authority that is none": (lambda files: TLS(files.key), "server.key: no certificate in PEM form"),
    "a certificate that is none": (
        lambda files: TLS(files.ca, files.client_key, files.client_key),
        "client.key: no certificate in PEM form",
    ),
    "the key of another": (
        lambda files: TLS(files.ca, files.client_certificate, files.key),
        "server.key: no private key in PEM form, or not that of .*client.pem",
    ),
    "a key that is encrypted": (
        lambda files: TLS(files.ca, files.client_certificate, replace(files.folder / "encrypted.key", encrypted_key())),
        "encrypted.key: the key is encrypted",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_used_is_named_when_the_client_is_made(files: Files, kind: str) -> None:
    made, text = BAD[kind]
    with pytest.raises(ValueError, match=text):
        Inference(tls=made(files))


def options(files: Files) -> list[str]:
    named = {"--tls-ca": files.ca, "--tls-cert": files.client_certificate, "--tls-key": files.client_key}
    return [word for option, path in named.items() for word in (option, str(path))]


def test_a_command_takes_tls_from_its_options(
    served: GatewayProcess, files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["app", "run", STEADY, "--address", served.address, *options(files)]) == Exit.OK
    assert '"calls"' in capfd.readouterr().out


def test_a_command_takes_tls_from_the_environment(
    served: GatewayProcess, files: Files, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_all(monkeypatch, files)
    assert run(["session", "list", "--address", served.address]) == Exit.OK
    monkeypatch.setenv("SGW_TLS", "0")
    assert run(["session", "list", "--address", served.address]) == Exit.UNREACHABLE
    assert "The gateway wants TLS." in capfd.readouterr().err


def test_options_that_do_not_go_together_or_name_no_file_are_mistakes_of_usage(
    files: Files, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["app", "list", "--tls-cert", str(files.client_certificate)]) == Exit.USAGE
    assert "--tls-cert and --tls-key go together" in capfd.readouterr().err
    assert run(["app", "list", "--tls-ca", str(tmp_path / "none")]) == Exit.USAGE
    assert re.search("none: No such file", capfd.readouterr().err)


def test_public_authorities_are_trusted_where_none_are_named(
    served: GatewayProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    # They have not signed for the gateway of this test.
    assert run(["app", "run", STEADY, "--tls", "--address", served.address]) == Exit.UNREACHABLE
    assert "CERTIFICATE_VERIFY_FAILED" in capfd.readouterr().err
